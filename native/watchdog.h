#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "live_requests.h"

namespace abfs {

constexpr int64_t kSecondNs = 1'000'000'000;

// Nanoseconds of the monotonic clock.
int64_t NowNs();

// Answers requests whose time is up and those of callers that are being killed, from a thread of
// its own: it works however long JavaScript takes.
class Watchdog {
 public:
  struct Options {
    LiveRequests* live = nullptr;
    // How long a request may go without progress; 0 for ever.
    int64_t deadline_ns = 0;
    // Runs on the watchdog's thread for each request that it has ended; sends `error` to the
    // kernel.
    std::function<void(const LiveRequest& request, int error)> answer;
    // Runs after each look at the requests.
    std::function<void()> after_look;
  };

  explicit Watchdog(Options options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void Start();
  // Joins the thread. Idempotent.
  void Stop();

 private:
  void Run();
  void Look();
  // 0 while the request may go on, else the errno that ends it.
  int Verdict(const LiveRequest& request, int64_t now_ns) const;

  const Options options_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable stop_;
  // Guarded by mutex_.
  bool stopping_ = false;
};

}  // namespace abfs
