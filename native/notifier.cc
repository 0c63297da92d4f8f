#include "notifier.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <utility>

namespace abfs {

namespace {

struct InvalidateInode {
  fuse_out_header head;
  fuse_notify_inval_inode_out body;
};

void Send(int device, uint64_t node) {
  InvalidateInode message{};
  message.head.len = sizeof message;
  message.head.error = FUSE_NOTIFY_INVAL_INODE;
  message.body.ino = node;
  // A negative offset: the attributes alone, not the pages.
  message.body.off = -1;
  // ENOENT: the kernel keeps nothing of it. Other failures mean the end of the connection.
  if (::write(device, &message, sizeof message) < 0) return;
}

}  // namespace

void Notifier::Start(int device) {
  device_ = device;
  thread_ = std::thread([this] { Run(); });
}

void Notifier::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Notifier::InvalidateAttributes(uint64_t node) {
  {
    const std::lock_guard lock(mutex_);
    nodes_.insert(node);
  }
  changed_.notify_one();
}

void Notifier::Run() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !nodes_.empty(); });
    if (stopping_) return;
    const std::unordered_set<uint64_t> nodes = std::exchange(nodes_, {});
    lock.unlock();
    for (const uint64_t node : nodes) Send(device_, node);
    lock.lock();
  }
}

}  // namespace abfs
