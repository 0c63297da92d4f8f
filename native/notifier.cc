#include "notifier.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace abfs {

namespace {

struct InvalidateInode {
  fuse_out_header head;
  fuse_notify_inval_inode_out body;
};

// A negative `offset` means the attributes alone, any other the pages from there on too.
int Send(int device, uint64_t node, int64_t offset) {
  InvalidateInode message{};
  message.head.len = sizeof message;
  message.head.error = FUSE_NOTIFY_INVAL_INODE;
  message.body.ino = node;
  message.body.off = offset;
  return ::write(device, &message, sizeof message) < 0 ? -errno : 0;
}

}  // namespace

int InvalidateContent(int device, uint64_t node) {
  const int result = Send(device, node, 0);
  return result == -ENOENT ? 0 : result;
}

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
    // ENOENT: the kernel keeps nothing of it. Other failures mean the end of the connection.
    for (const uint64_t node : nodes) Send(device_, node, -1);
    lock.lock();
  }
}

}  // namespace abfs
