#include "caller.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "unique_fd.h"

namespace abfs {

namespace {

bool HasKill(const char* status, const char* field) {
  const char* const line = std::strstr(status, field);
  if (line == nullptr) return false;
  const unsigned long long signals = std::strtoull(line + std::strlen(field), nullptr, 16);
  return (signals >> (SIGKILL - 1) & 1) != 0;
}

}  // namespace

bool IsDying(uint32_t pid) {
  if (pid == 0) return false;
  char path[48];
  std::snprintf(path, sizeof path, "/proc/%u/status", pid);
  const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return false;
  char status[4096];
  const ssize_t length = ::read(file.get(), status, sizeof status - 1);
  if (length <= 0) return false;
  status[length] = '\0';
  return HasKill(status, "\nSigPnd:") || HasKill(status, "\nShdPnd:");
}

}  // namespace abfs
