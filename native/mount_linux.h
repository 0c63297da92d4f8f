#pragma once

#include <cstdint>
#include <string>

namespace abfs {

struct MountOptions {
  std::string target;
  // The first column of /proc/mounts.
  std::string source;
  bool read_only = false;
  bool allow_other = false;
  uint32_t max_read_bytes = 0;
};

// These block; they may run on any thread.

// Opens /dev/fuse and mounts it with mount(2), which root alone may do. Returns the descriptor, the
// caller's to close, or -errno.
int MountFuse(const MountOptions& options);

// Detaches the mount on top of `target`; with `lazy` even while it is in use. Returns 0 or -errno.
int UnmountFuse(const std::string& target, bool lazy);

// These do not block.

// Makes the pair of sockets over which fusermount3 hands back a descriptor. Returns 0 or -errno.
int MakeSocketPair(int sockets[2]);

// Takes a descriptor that the peer of `socket` has sent (SCM_RIGHTS). Returns it, the caller's to
// close, or -errno; -ENOMSG when the peer sent none.
int ReceiveDescriptor(int socket);

// Sends a duplicate of `descriptor` to the peer of `socket`. Returns 0 or -errno.
int SendDescriptor(int socket, int descriptor);

}  // namespace abfs
