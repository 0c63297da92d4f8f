#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>

namespace abfs {

// Has the kernel drop the pages that it holds of `node`, and waits until it has: also for readers
// of them who are being served. 0 or -errno; that the kernel knows no such node is no error.
int InvalidateContent(int device, uint64_t node);

// The same of the attributes alone, and so of the size: waits for no page.
int InvalidateSize(int device, uint64_t node);

// Tells the kernel that what it keeps is not true any more, from a thread of its own: the kernel
// may take a lock for it that the very request holds which is being served.
class Notifier {
 public:
  Notifier() = default;
  ~Notifier() { Stop(); }
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  // `device` must stay open until Stop has returned.
  void Start(int device);
  // Joins the thread; what waits is dropped. Idempotent.
  void Stop();
  // Attributes of `node`. May run on any thread, does not wait.
  void InvalidateAttributes(uint64_t node);
  // What `name` in `directory` stands for, the names that the kernel keeps of `directory`, and its
  // attributes. May run on any thread, does not wait.
  void ExpireName(uint64_t directory, const std::string& name);

 private:
  void Run();

  int device_ = -1;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::unordered_set<uint64_t> nodes_;
  std::set<std::pair<uint64_t, std::string>> names_;
  bool stopping_ = false;
};

}  // namespace abfs
