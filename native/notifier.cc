#include "notifier.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>
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

// The name is asked for anew when it is next used, and a directory of that name stays where it is
// for those who work in it; kernels before 6.2 drop the name at once instead.
void SendName(int device, uint64_t directory, const std::string& name) {
  fuse_out_header head{};
  fuse_notify_inval_entry_out body{};
  head.len = static_cast<uint32_t>(sizeof head + sizeof body + name.size() + 1);
  head.error = FUSE_NOTIFY_INVAL_ENTRY;
  body.parent = directory;
  body.namelen = static_cast<uint32_t>(name.size());
  body.flags = FUSE_EXPIRE_ONLY;
  const iovec parts[] = {{&head, sizeof head},
                         {&body, sizeof body},
                         {const_cast<char*>(name.c_str()), name.size() + 1}};
  // ENOENT: the kernel knows no such name.
  if (::writev(device, parts, 3) < 0) return;
}

}  // namespace

int InvalidateContent(int device, uint64_t node) {
  const int result = Send(device, node, 0);
  return result == -ENOENT ? 0 : result;
}

int InvalidateSize(int device, uint64_t node) {
  const int result = Send(device, node, -1);
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

void Notifier::ExpireName(uint64_t directory, const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    names_.emplace(directory, name);
  }
  changed_.notify_one();
}

void Notifier::Run() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !nodes_.empty() || !names_.empty(); });
    if (stopping_) return;
    const std::unordered_set<uint64_t> nodes = std::exchange(nodes_, {});
    const std::set<std::pair<uint64_t, std::string>> names = std::exchange(names_, {});
    lock.unlock();
    uint64_t last = 0;
    for (const auto& [directory, name] : names) {
      SendName(device_, directory, name);
      // In order of directories: the names that the kernel keeps of each are dropped once.
      if (directory != last) Send(device_, directory, 0);
      last = directory;
    }
    // ENOENT: the kernel keeps nothing of it. Other failures mean the end of the connection.
    for (const uint64_t node : nodes) Send(device_, node, -1);
    lock.lock();
  }
}

}  // namespace abfs
