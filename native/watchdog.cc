#include "watchdog.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "caller.h"
#include "wire.h"

namespace abfs {

namespace {

// How long JavaScript may take to hear of a signal that does not kill before it is answered here.
constexpr int64_t kInterruptGraceNs = kSecondNs;
// Requests younger than this are not asked whether their caller dies: most are answered by then.
constexpr int64_t kPatienceNs = kSecondNs;

// Whether the request may end before it is done and be made again: another would be done all the
// same, and then twice. Libraries take EINTR of close(2) for success, besides.
bool MayBeRepeated(uint32_t opcode) {
  switch (opcode) {
    case FUSE_LOOKUP:
    case FUSE_GETATTR:
    case FUSE_READLINK:
    case FUSE_OPEN:
    case FUSE_READ:
    case FUSE_STATFS:
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
    case FUSE_OPENDIR:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
    case FUSE_ACCESS:
    case FUSE_SETLKW:
      return true;
    default:
      return false;
  }
}

}  // namespace

int64_t NowNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecondNs + now.tv_nsec;
}

Watchdog::Watchdog(Options options) : options_(std::move(options)) {}

Watchdog::~Watchdog() { Stop(); }

void Watchdog::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Watchdog::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watchdog::Run() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  // A tenth of the deadline keeps short ones exact; a quarter of a second costs nothing.
  const auto pause = std::chrono::nanoseconds(
      options_.deadline_ns == 0
          ? kSecondNs / 4
          : std::clamp(options_.deadline_ns / 10, kSecondNs / 100, kSecondNs / 4));
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, pause, [this] { return stopping_; })) {
    lock.unlock();
    Look();
    lock.lock();
  }
}

void Watchdog::Look() {
  if (!options_.live->Empty()) {
    const int64_t now_ns = NowNs();
    for (const LiveRequest& request : options_.live->Snapshot()) {
      const int error = Verdict(request, now_ns);
      if (error != 0 && options_.live->End(request.unique)) options_.answer(request, error);
    }
  }
  options_.after_look();
}

int Watchdog::Verdict(const LiveRequest& request, int64_t now_ns) const {
  const int64_t idle_ns = now_ns - request.progress_ns;
  // A lock is waited for as long as somebody else holds it.
  const bool hurries = options_.deadline_ns > 0 && !WaitsForOthers(request.opcode);
  if (hurries && idle_ns >= options_.deadline_ns) return ETIMEDOUT;
  const bool interrupted = request.interrupted_ns != 0;
  // The kernel sends one interrupt a request: the signal that kills may follow one that does not.
  if (!interrupted && idle_ns < kPatienceNs) return 0;
  const Caller caller = LookAtCaller(request.pid);
  if (caller == Caller::kDying) return EINTR;
  const bool heeds =
      caller == Caller::kHidden ? MayBeRepeated(request.opcode) : WaitsForOthers(request.opcode);
  const bool unheard = interrupted && heeds && !request.interrupt_taken;
  return unheard && now_ns - request.interrupted_ns >= kInterruptGraceNs ? EINTR : 0;
}

}  // namespace abfs
