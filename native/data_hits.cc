#include "data_hits.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>

namespace abfs {

namespace {

bool ReadFully(int file, uint8_t* into, uint64_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t count = ::pread(file, into, size, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    // A file that is shorter than it was said to be is the owner's to explain.
    if (count <= 0) return false;
    into += count;
    offset += static_cast<uint64_t>(count);
    size -= static_cast<uint64_t>(count);
  }
  return true;
}

}  // namespace

void DataHits::Attach(uint64_t handle, uint64_t size) {
  const std::lock_guard lock(mutex_);
  contents_.insert_or_assign(handle, Content{size, {}});
}

bool DataHits::AddPiece(uint64_t handle, uint64_t start, uint64_t size, UniqueFd file,
                        bool complete) {
  const std::lock_guard lock(mutex_);
  const auto content = contents_.find(handle);
  if (content == contents_.end()) return false;
  const size_t granules = complete ? 0 : (size + kGranuleBytes - 1) / kGranuleBytes;
  LocalPiece piece{start, size, std::vector<bool>(granules, false),
                   std::make_shared<const UniqueFd>(std::move(file))};
  content->second.pieces.insert_or_assign(start, std::move(piece));
  return true;
}

void DataHits::MarkPresent(uint64_t handle, uint64_t start, uint64_t size) {
  const std::lock_guard lock(mutex_);
  const auto content = contents_.find(handle);
  if (content == contents_.end()) return;
  const uint64_t end = start + size;
  for (auto& [at, piece] : content->second.pieces) {
    if (piece.present.empty() || at >= end || at + piece.size <= start) continue;
    const uint64_t from = std::max(start, at) - at;
    const uint64_t to = std::min(end, at + piece.size) - at;
    uint64_t granule = (from + kGranuleBytes - 1) / kGranuleBytes;
    for (; granule < piece.present.size(); ++granule) {
      if (std::min((granule + 1) * kGranuleBytes, piece.size) > to) break;
      piece.present[granule] = true;
    }
  }
}

void DataHits::Detach(uint64_t handle) {
  const std::lock_guard lock(mutex_);
  contents_.erase(handle);
}

int64_t DataHits::Find(uint64_t handle, uint64_t offset, uint32_t size,
                       std::vector<FilePart>* parts) const {
  const std::shared_lock lock(mutex_);
  const auto content = contents_.find(handle);
  if (content == contents_.end()) return -1;
  // Before it has a piece the owner may give it up for a longer one.
  if (content->second.pieces.empty()) return -1;
  if (offset >= content->second.size) return 0;
  const uint64_t end = std::min(offset + size, content->second.size);
  for (uint64_t at = offset; at < end;) {
    const LocalPiece* const piece = PieceAt(content->second, at);
    if (piece == nullptr) return -1;
    const uint64_t stop = std::min(end, piece->start + piece->size);
    if (!Holds(*piece, at - piece->start, stop - piece->start)) return -1;
    parts->push_back({piece->file, at - piece->start, stop - at});
    at = stop;
  }
  return static_cast<int64_t>(end - offset);
}

bool DataHits::Read(const std::vector<FilePart>& parts, uint8_t* into) {
  for (const FilePart& part : parts) {
    if (!ReadFully(part.file->get(), into, part.size, part.offset)) return false;
    into += part.size;
  }
  return true;
}

const LocalPiece* DataHits::PieceAt(const Content& content, uint64_t offset) {
  auto after = content.pieces.upper_bound(offset);
  if (after == content.pieces.begin()) return nullptr;
  const LocalPiece& piece = std::prev(after)->second;
  return offset < piece.start + piece.size ? &piece : nullptr;
}

bool DataHits::Holds(const LocalPiece& piece, uint64_t start, uint64_t end) {
  if (piece.present.empty()) return true;
  for (uint64_t granule = start / kGranuleBytes; granule * kGranuleBytes < end; ++granule) {
    if (!piece.present[granule]) return false;
  }
  return true;
}

}  // namespace abfs
