#include "sender.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace abfs {

void Sender::Start(Options options) {
  options_ = std::move(options);
  thread_ = std::thread([this] { Run(); });
}

void Sender::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Sender::Add(LateReply reply) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(reply));
  }
  changed_.notify_one();
}

void Sender::Take(std::vector<SentReply>* sent) {
  sent->clear();
  const std::lock_guard lock(mutex_);
  sent->swap(sent_);
}

void Sender::Run() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    const LateReply reply = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    const int result = options_.send(reply);
    lock.lock();
    sent_.push_back({reply.ticket, result});
    if (sent_.size() > 1) continue;
    lock.unlock();
    options_.wake();
    lock.lock();
  }
}

}  // namespace abfs
