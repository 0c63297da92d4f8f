#include "deferred.h"

#include <cstring>

namespace abfs {

void Deferred::Release(const uint8_t* frame, int source) {
  Closed closed{};
  std::memcpy(closed.frame.data(), frame, kReleaseBytes);
  closed.source = source;
  releases_.push_back(closed);
}

size_t Deferred::TakeInto(uint8_t* slot, size_t size, int* source) {
  *source = 0;
  if (!forgets_.empty()) return TakeForgets(slot, size);
  const Closed closed = releases_.front();
  releases_.pop_front();
  *source = closed.source;
  std::memcpy(slot, closed.frame.data(), kReleaseBytes);
  return kReleaseBytes;
}

size_t Deferred::TakeForgets(uint8_t* slot, size_t size) {
  fuse_in_header head{};
  fuse_batch_forget_in batch{};
  size_t at = sizeof head + sizeof batch;
  while (!forgets_.empty() && at + sizeof(fuse_forget_one) <= size) {
    const auto first = forgets_.begin();
    fuse_forget_one one{};
    one.nodeid = first->first;
    one.nlookup = first->second;
    std::memcpy(slot + at, &one, sizeof one);
    at += sizeof one;
    ++batch.count;
    forgets_.erase(first);
  }
  head.len = static_cast<uint32_t>(at);
  head.opcode = FUSE_BATCH_FORGET;
  std::memcpy(slot, &head, sizeof head);
  std::memcpy(slot + sizeof head, &batch, sizeof batch);
  return at;
}

}  // namespace abfs
