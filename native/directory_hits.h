#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "inode_hits.h"

namespace abfs {

// All names of a directory that was opened, which the kernel asks for next.
struct FirstNames {
  // The answer to READDIRPLUS from the beginning: a fuse_out_header, whose `unique` is not set yet,
  // and a fuse_direntplus for each name. Each inode in it counts one lookup.
  std::vector<uint8_t> message;
  // Where reading goes on after the last name.
  uint64_t end;
  // Inodes of it that may be learned, in its order.
  std::vector<SettledInode> settled;
  // When it was offered: in the order of changes to inodes, and in nanoseconds.
  uint64_t moment;
  int64_t offered_ns;
};

// What the owner offers of open directories before it is asked. Every method may run on any thread.
class DirectoryHits {
 public:
  void Offer(uint64_t handle, FirstNames names);
  // Moves what was offered of `handle` to `names`, for who gives it to the kernel or takes its
  // lookups back. False when there is nothing.
  bool Take(uint64_t handle, FirstNames* names);
  // `handle` was read from the beginning to `end`, where its snapshot of names ends.
  void NoteEnd(uint64_t handle, uint64_t end);
  bool IsEnd(uint64_t handle, uint64_t offset);
  // `handle` is closed, or read anew.
  void ForgetEnd(uint64_t handle);

 private:
  std::mutex mutex_;
  std::unordered_map<uint64_t, FirstNames> offered_;
  std::unordered_map<uint64_t, uint64_t> ends_;
};

}  // namespace abfs
