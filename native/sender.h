#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace abfs {

// A reply whose bytes lie elsewhere, and stay there until it is sent.
struct LateReply {
  int source;
  fuse_out_header head;
  std::vector<iovec> data;
  // What the owner knows it by.
  int64_t ticket;
};

struct SentReply {
  int64_t ticket;
  // 0 or -errno.
  int result;
};

// Sends replies on a thread of its own: the kernel copies their bytes meanwhile, which for a
// megabyte takes as long as reading it from a socket did. Every method may run on any thread.
class Sender {
 public:
  struct Options {
    // Sends one, on the thread of the sender. Returns 0 or -errno.
    std::function<int(const LateReply&)> send;
    // Runs on that thread when there is something to Take that the owner was not told of.
    std::function<void()> wake;
  };

  Sender() = default;
  ~Sender() { Stop(); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  void Start(Options options);
  // Joins the thread; what waits is dropped. Idempotent.
  void Stop();
  void Add(LateReply reply);
  // Moves what was sent to `sent`.
  void Take(std::vector<SentReply>* sent);

 private:
  void Run();

  Options options_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<LateReply> waiting_;
  std::vector<SentReply> sent_;
  bool stopping_ = false;
};

}  // namespace abfs
