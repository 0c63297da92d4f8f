#pragma once

#include <cstdint>

namespace abfs {

// Whether SIGKILL, or a signal that the kernel has turned into it, waits for thread `pid`: it ends
// as soon as its system call does, whatever that returns. False when the process cannot be seen, as
// from outside its pid namespace. Reads /proc; may run on any thread.
bool IsDying(uint32_t pid);

}  // namespace abfs
