#include "granule_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "crc32.h"
#include "unique_fd.h"

namespace abfs {

namespace {

constexpr size_t kGranuleBytes = 64 << 10;
// As in disk-segment.ts: what was never written is not taken for a sum.
constexpr uint32_t kTurn = 0xabf5b10c;
constexpr uint64_t kSumBytes = 2 * sizeof(uint32_t);

int NamesOf(const GranuleFiles& files) {
  struct stat data {};
  struct stat sums {};
  if (::fstat(files.data, &data) < 0 || ::fstat(files.sums, &sums) < 0) return -errno;
  return data.st_nlink == 0 || sums.st_nlink == 0 ? kNameless : kNamed;
}

int WriteFully(int file, const void* from, size_t length, uint64_t offset) {
  const auto* bytes = static_cast<const uint8_t*>(from);
  while (length > 0) {
    const ssize_t count = ::pwrite(file, bytes, length, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -errno;
    bytes += count;
    offset += static_cast<uint64_t>(count);
    length -= static_cast<size_t>(count);
  }
  return 0;
}

// Returns how many bytes there were before the end of the file, or -errno.
ssize_t ReadFully(int file, void* into, size_t length, uint64_t offset) {
  auto* bytes = static_cast<uint8_t*>(into);
  size_t done = 0;
  while (done < length) {
    const ssize_t count =
        ::pread(file, bytes + done, length - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -errno;
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return static_cast<ssize_t>(done);
}

// A directory that became read-only still answers. Returns a descriptor or -errno.
int OpenExisting(const std::string& name) {
  const int file = ::open(name.c_str(), O_RDWR | O_CLOEXEC);
  if (file >= 0) return file;
  if (errno != EROFS && errno != EACCES) return -errno;
  const int readable = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  return readable < 0 ? -errno : readable;
}

int OpenOrMake(const std::string& name) {
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC;
  const int file = ::open(name.c_str(), kFlags, 0600);
  if (file >= 0 || errno != ENOENT) return file < 0 ? -errno : file;
  const std::string directory = name.substr(0, name.rfind('/'));
  if (::mkdir(directory.c_str(), 0700) < 0 && errno != EEXIST) return -errno;
  const int again = ::open(name.c_str(), kFlags, 0600);
  return again < 0 ? -errno : again;
}

// Two words for each granule of `bytes`; `sums`, where it is given, gets the first of them.
std::vector<uint32_t> WordsOf(const uint8_t* bytes, size_t length, std::vector<uint32_t>* sums) {
  std::vector<uint32_t> words;
  for (size_t at = 0; at < length; at += kGranuleBytes) {
    const uint32_t sum = Crc32(bytes + at, std::min(kGranuleBytes, length - at));
    if (sums != nullptr) sums->push_back(sum);
    words.insert(words.end(), {sum, sum ^ kTurn});
  }
  return words;
}

int WriteWords(int file, const std::vector<uint32_t>& words, uint64_t offset) {
  return WriteFully(file, words.data(), words.size() * sizeof(uint32_t), offset);
}

// Who makes room looks at the mode and the time. What cannot be noted is not.
void NoteUse(int file, int64_t used_at_ms) {
  const timespec time{used_at_ms / 1000, (used_at_ms % 1000) * 1'000'000};
  const timespec times[] = {time, time};
  if (::fchmod(file, 0700) == 0) ::futimens(file, times);
}

}  // namespace

int OpenGranules(const std::string& place, bool create, GranuleFiles* files,
                 std::string* identity) {
  const auto open = create ? OpenOrMake : OpenExisting;
  UniqueFd data(open(place + ".data"));
  if (data.get() < 0) return data.get();
  UniqueFd sums(open(place + ".sums"));
  if (sums.get() < 0) return sums.get();
  const int error = IdentityOf(data.get(), identity);
  if (error < 0) return error;
  *files = {data.Release(), sums.Release()};
  return 0;
}

int IdentityOf(int data, std::string* identity) {
  struct statx found {};
  if (::statx(data, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &found) < 0) return -errno;
  const auto part = [](auto value) { return ":" + std::to_string(value); };
  *identity = std::to_string(found.stx_dev_major) + part(found.stx_dev_minor) +
              part(found.stx_ino) + part(found.stx_btime.tv_sec) + part(found.stx_btime.tv_nsec);
  return 0;
}

int WriteGranules(const GranuleFiles& files, uint64_t first, const uint8_t* bytes, size_t length,
                  std::vector<uint32_t>* sums) {
  const int names = NamesOf(files);
  if (names != kNamed) return names;
  const std::vector<uint32_t> words = WordsOf(bytes, length, sums);
  const int error = WriteFully(files.data, bytes, length, first * kGranuleBytes);
  if (error < 0) return error;
  const int sums_error = WriteWords(files.sums, words, first * kSumBytes);
  return sums_error < 0 ? sums_error : kNamed;
}

int ReadGranules(const GranuleFiles& files, uint64_t first, uint8_t* into, size_t length,
                 std::vector<uint32_t>* sums) {
  const ssize_t found = ReadFully(files.data, into, length, first * kGranuleBytes);
  if (found < 0) return static_cast<int>(found);
  const auto end = static_cast<size_t>(found);
  for (size_t at = 0; at < length; at += kGranuleBytes) {
    const size_t count = std::min(kGranuleBytes, length - at);
    if (at + count > end) break;
    sums->push_back(Crc32(into + at, count));
  }
  return NamesOf(files);
}

int ReadSums(const GranuleFiles& files, uint64_t first, size_t count,
             std::vector<uint32_t>* words) {
  const int names = NamesOf(files);
  if (names != kNamed) return names;
  words->assign(2 * count, 0);
  const ssize_t found =
      ReadFully(files.sums, words->data(), words->size() * sizeof(uint32_t), first * kSumBytes);
  return found < 0 ? static_cast<int>(found) : kNamed;
}

int WriteSmall(const SmallFile& file, uint64_t first, const uint8_t* bytes, size_t length) {
  const UniqueFd open(OpenOrMake(file.name));
  if (open.get() < 0) return open.get();
  const int error = WriteFully(open.get(), bytes, length, first * kGranuleBytes);
  if (error < 0) return error;
  return WriteWords(open.get(), WordsOf(bytes, length, nullptr), file.sums_at + first * kSumBytes);
}

int ReadSmall(const SmallFile& file, uint64_t first, uint8_t* into, size_t length,
              int64_t used_at_ms, std::vector<uint32_t>* words) {
  const UniqueFd open(::open(file.name.c_str(), O_RDONLY | O_CLOEXEC));
  if (open.get() < 0) return errno == ENOENT ? kNameless : -errno;
  std::vector<uint32_t> kept(2 * ((length + kGranuleBytes - 1) / kGranuleBytes));
  // Before the bytes: they were written after them, perhaps meanwhile.
  const ssize_t sums_read = ReadFully(open.get(), kept.data(), kept.size() * sizeof(uint32_t),
                                      file.sums_at + first * kSumBytes);
  if (sums_read < 0) return static_cast<int>(sums_read);
  const ssize_t found = ReadFully(open.get(), into, length, first * kGranuleBytes);
  if (found < 0) return static_cast<int>(found);
  for (size_t at = 0, word = 0; at < length; at += kGranuleBytes, word += 2) {
    const size_t count = std::min(kGranuleBytes, length - at);
    words->insert(words->end(), {Crc32(into + at, count), kept[word], kept[word + 1]});
  }
  if (used_at_ms >= 0) NoteUse(open.get(), used_at_ms);
  return kNamed;
}

}  // namespace abfs
