#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "name_hits.h"

namespace abfs {

// A request that the kernel waits for.
struct LiveRequest {
  uint64_t unique;
  // The reader that took it, whose descriptor its reply goes to.
  int source;
  uint32_t pid;
  uint32_t opcode;
  // When it came, in the order of changes to inodes.
  uint64_t asked;
  // The inodes that it may change; 0 for none.
  std::array<uint64_t, 2> changes;
  // The name that it makes; directory 0 for none.
  DirectoryName made;
  // When it came, or last got on. Nanoseconds of the monotonic clock, as are all times here.
  int64_t progress_ns;
  // When a signal met the caller; 0 before.
  int64_t interrupted_ns;
  // Whether the owner knows of the interrupt and sees to it.
  bool interrupt_taken;
};

// Which requests have no reply yet. Each is ended once, by whoever answers it: the owner's reply
// and that of a deadline may meet, and the later one goes nowhere. `unique` numbers are never used
// twice in one connection. Every method may run on any thread.
class LiveRequests {
 public:
  void Begin(const LiveRequest& request);
  // Whether the request was live; the caller then owes the kernel its reply.
  bool End(uint64_t unique, LiveRequest* ended = nullptr);
  bool Contains(uint64_t unique) const;
  void Progress(uint64_t unique, int64_t now_ns);
  // Marks the request as interrupted and gives it; false when it is not live.
  bool Interrupt(uint64_t unique, int64_t now_ns, LiveRequest* interrupted);
  void InterruptTaken(uint64_t unique);
  std::vector<LiveRequest> Snapshot() const;
  bool Empty() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, LiveRequest> requests_;
};

}  // namespace abfs
