#include "directory_hits.h"

#include <utility>

namespace abfs {

void DirectoryHits::Offer(uint64_t handle, FirstNames names) {
  const std::lock_guard lock(mutex_);
  offered_.insert_or_assign(handle, std::move(names));
}

bool DirectoryHits::Take(uint64_t handle, FirstNames* names) {
  const std::lock_guard lock(mutex_);
  const auto found = offered_.find(handle);
  if (found == offered_.end()) return false;
  *names = std::move(found->second);
  offered_.erase(found);
  return true;
}

void DirectoryHits::NoteEnd(uint64_t handle, uint64_t end) {
  const std::lock_guard lock(mutex_);
  ends_.insert_or_assign(handle, end);
}

bool DirectoryHits::IsEnd(uint64_t handle, uint64_t offset) {
  const std::lock_guard lock(mutex_);
  const auto found = ends_.find(handle);
  return found != ends_.end() && found->second == offset;
}

void DirectoryHits::ForgetEnd(uint64_t handle) {
  const std::lock_guard lock(mutex_);
  ends_.erase(handle);
}

}  // namespace abfs
