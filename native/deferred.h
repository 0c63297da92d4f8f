#pragma once

#include <linux/fuse.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>

namespace abfs {

// What the owner is to hear of when it next comes, as nobody waits until it has: inodes that the
// kernel has forgotten, as one request, and files and directories that were closed. Whoever calls
// holds a lock.
class Deferred {
 public:
  // A RELEASE or RELEASEDIR, as it came from the kernel.
  static constexpr size_t kReleaseBytes = sizeof(fuse_in_header) + sizeof(fuse_release_in);

  bool Empty() const { return forgets_.empty() && releases_.empty(); }
  // So much that the owner has to be woken for it.
  bool Presses() const { return forgets_.size() >= kMany || releases_.size() >= kManyClosed; }
  // There is no room.
  bool Full() const { return forgets_.size() >= kMost || releases_.size() >= kMost; }

  void Forget(uint64_t node, uint64_t lookups) { forgets_[node] += lookups; }
  // `frame` has kReleaseBytes; `source` is the reader that took it.
  void Release(const uint8_t* frame, int source);

  // Moves a request to `slot`, which has room for `size` bytes, 8192 at least; its length, and the
  // reader that took it. There must be one.
  size_t TakeInto(uint8_t* slot, size_t size, int* source);

 private:
  struct Closed {
    std::array<uint8_t, kReleaseBytes> frame;
    int source;
  };

  static constexpr size_t kMany = 256;
  // Each takes a slot when the owner comes, and what comes after a file was closed is to find one.
  static constexpr size_t kManyClosed = 16;
  static constexpr size_t kMost = 4096;

  size_t TakeForgets(uint8_t* slot, size_t size);

  std::unordered_map<uint64_t, uint64_t> forgets_;
  std::deque<Closed> releases_;
};

}  // namespace abfs
