#pragma once

#include <linux/fuse.h>
#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

// What native code itself reads and writes of the protocol; the rest is TypeScript, in src/fuse/.
namespace abfs {

// Reads a struct of a request's bytes, which need not be aligned. The caller has checked the
// length.
template <typename Struct>
Struct ReadStruct(const uint8_t* bytes) {
  Struct value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// The argument after a request's head, or false when the frame is too short to hold it.
template <typename Struct>
bool ReadArgument(const uint8_t* frame, size_t length, Struct* value) {
  if (length < sizeof(fuse_in_header) + sizeof(Struct)) return false;
  std::memcpy(value, frame + sizeof(fuse_in_header), sizeof *value);
  return true;
}

// Later than the headers of Debian 12 (protocol 7.40).
struct BackingMap {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
constexpr unsigned long kBackingOpen = _IOW(229, 1, BackingMap);
constexpr unsigned long kBackingClose = _IOW(229, 2, uint32_t);

// Requests that the kernel expects no reply to.
inline bool IsOneWay(uint32_t opcode) {
  return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT;
}

// Requests that end when other programs do something, not the service: those for locks.
inline bool WaitsForOthers(uint32_t opcode) { return opcode == FUSE_SETLKW; }

inline fuse_out_header StatusReply(uint64_t unique, int error) {
  fuse_out_header head{};
  head.len = sizeof head;
  head.error = -error;
  head.unique = unique;
  return head;
}

}  // namespace abfs
