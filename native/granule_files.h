#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace abfs {

// The open files of a stretch of a blob in the disk cache; src/transfer/disk-segment.ts says what
// lies in them. Everything here blocks, and may run on any thread.
struct GranuleFiles {
  int data;
  int sums;
};

// What became of a call: -errno; kNameless when one of the files has no name any more, so that
// nobody else will find what is written there; kNamed else.
constexpr int kNameless = 0;
constexpr int kNamed = 1;

// Opens `place`.data and `place`.sums to be read, and written where that is allowed; with `create`
// they are made where they are missing, and the directory they lie in, for this user alone.
// `identity` tells the file of data from every other that may take its place. Returns 0 or -errno:
// then none is open.
int OpenGranules(const std::string& place, bool create, GranuleFiles* files, std::string* identity);

// What OpenGranules tells of a file of data that is open. Returns 0 or -errno.
int IdentityOf(int data, std::string* identity);

// Writes `length` bytes, granules from `first` on, and behind them their CRCs, which go to `sums`
// too. Writes nothing where that would be nameless.
int WriteGranules(const GranuleFiles& files, uint64_t first, const uint8_t* bytes, size_t length,
                  std::vector<uint32_t>* sums);

// Fills `into` from granule `first` on; `sums` gets the CRCs of those that the file holds whole.
int ReadGranules(const GranuleFiles& files, uint64_t first, uint8_t* into, size_t length,
                 std::vector<uint32_t>* sums);

// Where the words of a small version lie in the one file that it is: behind its bytes.
struct SmallFile {
  std::string name;
  uint64_t sums_at;
};

// As WriteGranules, to a file that is opened, or made with the directory it lies in, and closed.
// Returns 0 or -errno.
int WriteSmall(const SmallFile& file, uint64_t first, const uint8_t* bytes, size_t length);

// Fills `into` from granule `first` on, and gives three words for each: its CRC as it was read, and
// the two that lie there, which are 0 where the file ends before. `used_at_ms`, unless it is
// negative, is noted as the time at which it was read again. Returns kNameless where there is no
// such file, kNamed else, or -errno.
int ReadSmall(const SmallFile& file, uint64_t first, uint8_t* into, size_t length,
              int64_t used_at_ms, std::vector<uint32_t>* words);

// The words that lie in the file of sums for `count` granules: two each, 0 behind its end.
int ReadSums(const GranuleFiles& files, uint64_t first, size_t count, std::vector<uint32_t>* words);

}  // namespace abfs
