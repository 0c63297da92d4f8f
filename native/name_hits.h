#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace abfs {

// A name in a directory, as the hash of it: two names of one hash are asked of the owner.
struct DirectoryName {
  uint64_t directory;
  uint64_t hash;
};

// All names of directories, for as long as the owner said that they hold: what else is asked for in
// them is absent. Names that come by calls of the kernel are added, those that go stay: only what
// was never there is answered here. Every method may run on any thread.
class NameHits {
 public:
  static uint64_t HashOf(std::string_view name);

  // The names in `directory` are `hashes` and no others until then.
  void Learn(uint64_t directory, std::vector<uint64_t> hashes, int64_t until_ns);
  // The kernel has a name made, or had.
  void Add(const DirectoryName& name);
  // Whether there is no such name, and for how many nanoseconds that holds.
  bool IsAbsent(const DirectoryName& name, int64_t now_ns, int64_t* rest_ns);
  // What was told of `directory` is not true any more.
  void Forget(uint64_t directory);

 private:
  struct Names {
    std::unordered_set<uint64_t> hashes;
    int64_t until_ns;
  };

  // About 20 MB. What is beyond that is asked of the owner.
  static constexpr size_t kMaxNames = 400'000;

  // The rest needs mutex_.
  void Drop(std::unordered_map<uint64_t, Names>::iterator directory);

  std::mutex mutex_;
  std::unordered_map<uint64_t, Names> directories_;
  // Names and directories together.
  size_t held_ = 0;
};

// The name that a request makes, with its directory; directory 0 when it makes none.
DirectoryName MadeName(uint32_t opcode, const uint8_t* frame, size_t length);

// Whether a name is of printable ASCII and short: of others the owner says what is wrong with them.
bool IsPlainName(std::string_view name);

// The name at `at` of a frame; empty when it has no end.
std::string_view NameAt(const uint8_t* frame, size_t length, size_t at);

}  // namespace abfs
