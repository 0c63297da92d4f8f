#pragma once

#include <cstdint>

namespace abfs {

// What becomes of the thread that waits for a request.
enum class Caller {
  // Not to be seen from here: of another pid namespace, or /proc does not show it.
  kHidden,
  // It goes on when its system call ends, whatever signals wait for it.
  kLiving,
  // It ends as soon as its system call does, whatever that returns.
  kDying,
};

// Looks for signals that wait for thread `pid` and are neither handled nor ignored. Reads /proc;
// may run on any thread.
Caller LookAtCaller(uint32_t pid);

}  // namespace abfs
