#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "unique_fd.h"

namespace abfs {

// A stretch of a file that lies on the local disk, from the beginning of `file` on.
struct LocalPiece {
  uint64_t start;
  uint64_t size;
  // Which granules of it are there; empty when all are.
  std::vector<bool> present;
  std::shared_ptr<const UniqueFd> file;
};

// Where some bytes of a file lie.
struct FilePart {
  std::shared_ptr<const UniqueFd> file;
  uint64_t offset;
  uint64_t size;
};

// What may be read of open files without their owner: reads of it are answered by reader threads.
// Every method may run on any thread.
class DataHits {
 public:
  static constexpr uint64_t kGranuleBytes = 64 << 10;

  // Begins to answer reads of `handle`, a file of `size` bytes, where pieces are.
  void Attach(uint64_t handle, uint64_t size);
  // Adds a piece, which takes over `file`; all of it is there, or nothing yet. False when `handle`
  // is not attached.
  bool AddPiece(uint64_t handle, uint64_t start, uint64_t size, UniqueFd file, bool complete);
  // Bytes [start, start + size) are there now; granules that it covers in part are not.
  void MarkPresent(uint64_t handle, uint64_t start, uint64_t size);
  // No read that begins later is answered.
  void Detach(uint64_t handle);

  // Finds what read(2) gives for [offset, offset + size). Returns how many bytes that is, or -1
  // when the owner has to be asked.
  int64_t Find(uint64_t handle, uint64_t offset, uint32_t size, std::vector<FilePart>* parts) const;

  // Fills `into` with the bytes of `parts`; false when a file is shorter than it was said to be.
  static bool Read(const std::vector<FilePart>& parts, uint8_t* into);

 private:
  struct Content {
    uint64_t size;
    std::map<uint64_t, LocalPiece> pieces;
  };

  static const LocalPiece* PieceAt(const Content& content, uint64_t offset);
  static bool Holds(const LocalPiece& piece, uint64_t start, uint64_t end);

  mutable std::shared_mutex mutex_;
  std::unordered_map<uint64_t, Content> contents_;
};

}  // namespace abfs
