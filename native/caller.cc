#include "caller.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "unique_fd.h"

namespace abfs {

namespace {

constexpr uint64_t Bit(int signal) { return uint64_t{1} << (signal - 1); }

constexpr uint64_t kHarmless = Bit(SIGCHLD) | Bit(SIGCONT) | Bit(SIGURG) | Bit(SIGWINCH) |
                               Bit(SIGSTOP) | Bit(SIGTSTP) | Bit(SIGTTIN) | Bit(SIGTTOU);

// Whether /proc numbers processes as the kernel does towards this one.
bool IsOwnProc() {
  char name[24];
  const ssize_t length = ::readlink("/proc/self", name, sizeof name - 1);
  if (length <= 0) return false;
  name[length] = '\0';
  return std::strtoul(name, nullptr, 10) == static_cast<unsigned long>(::getpid());
}

// Empty when it cannot be read. A caller of many groups has a long one.
std::string StatusOf(uint32_t pid) {
  char path[48];
  std::snprintf(path, sizeof path, "/proc/%u/status", pid);
  const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
  std::string status;
  char part[4096];
  ssize_t length = file.valid() ? 1 : 0;
  while (length > 0) {
    length = ::read(file.get(), part, sizeof part);
    if (length > 0) status.append(part, static_cast<size_t>(length));
    if (length < 0 && errno == EINTR) length = 1;
  }
  return status;
}

uint64_t SignalsIn(const std::string& status, const char* field) {
  const size_t at = status.find(field);
  if (at == std::string::npos) return 0;
  return std::strtoull(status.c_str() + at + std::strlen(field), nullptr, 16);
}

}  // namespace

Caller LookAtCaller(uint32_t pid) {
  static const bool is_own_proc = IsOwnProc();
  if (pid == 0 || !is_own_proc) return Caller::kHidden;
  const std::string status = StatusOf(pid);
  if (status.find("\nSigCgt:") == std::string::npos) return Caller::kHidden;
  const uint64_t waiting = SignalsIn(status, "\nSigPnd:") | SignalsIn(status, "\nShdPnd:");
  // The kernel turns most signals that end a process into SIGKILL; those that dump core it leaves.
  if ((waiting & Bit(SIGKILL)) != 0) return Caller::kDying;
  const uint64_t survived = SignalsIn(status, "\nSigBlk:") | SignalsIn(status, "\nSigIgn:") |
                            SignalsIn(status, "\nSigCgt:") | kHarmless;
  return (waiting & ~survived) == 0 ? Caller::kLiving : Caller::kDying;
}

}  // namespace abfs
