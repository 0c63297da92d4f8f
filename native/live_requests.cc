#include "live_requests.h"

namespace abfs {

void LiveRequests::Begin(const LiveRequest& request) {
  const std::lock_guard lock(mutex_);
  requests_.insert_or_assign(request.unique, request);
}

bool LiveRequests::End(uint64_t unique, LiveRequest* ended) {
  const std::lock_guard lock(mutex_);
  const auto found = requests_.find(unique);
  if (found == requests_.end()) return false;
  if (ended != nullptr) *ended = found->second;
  requests_.erase(found);
  return true;
}

bool LiveRequests::Contains(uint64_t unique) const {
  const std::lock_guard lock(mutex_);
  return requests_.contains(unique);
}

void LiveRequests::Progress(uint64_t unique, int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  if (const auto found = requests_.find(unique); found != requests_.end()) {
    found->second.progress_ns = now_ns;
  }
}

bool LiveRequests::Interrupt(uint64_t unique, int64_t now_ns, LiveRequest* interrupted) {
  const std::lock_guard lock(mutex_);
  const auto found = requests_.find(unique);
  if (found == requests_.end()) return false;
  found->second.interrupted_ns = now_ns;
  *interrupted = found->second;
  return true;
}

void LiveRequests::InterruptTaken(uint64_t unique) {
  const std::lock_guard lock(mutex_);
  if (const auto found = requests_.find(unique); found != requests_.end()) {
    found->second.interrupt_taken = true;
  }
}

std::vector<LiveRequest> LiveRequests::Snapshot() const {
  const std::lock_guard lock(mutex_);
  std::vector<LiveRequest> all;
  all.reserve(requests_.size());
  for (const auto& [unique, request] : requests_) all.push_back(request);
  return all;
}

bool LiveRequests::Empty() const {
  const std::lock_guard lock(mutex_);
  return requests_.empty();
}

}  // namespace abfs
