#pragma once

#include <linux/fuse.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace abfs {

// What a reply may be remembered for: an inode in it that changes by calls of the kernel alone, or
// else is told to be Changed.
struct SettledInode {
  uint64_t node;
  // Whether it has no extended attributes of its owner's.
  bool plain;
};

// An inode that the owner tells of with a reply that says nothing of it: the directory in which a
// name came or went, which the kernel asks for next.
struct ToldInode {
  fuse_attr_out attributes;
  bool plain;
};

// What the owner has told of inodes, for as long as it said that it holds: their attributes, and
// that they have no extended ones. The kernel keeps attributes too, but asks again after each read
// (which moves the time of access), and of extended ones it keeps nothing. Every method may run on
// any thread.
class InodeHits {
 public:
  // Extended attributes with these beginnings are the owner's to answer; all others are refused.
  void OfferXattrs(std::vector<std::string> prefixes);

  // A moment in the order of changes, to be taken when a request comes.
  uint64_t Moment() const { return moment_.load(std::memory_order_acquire); }
  // What is known of `node` is not true any more, nor is what requests older than this will tell.
  void Changed(uint64_t node);
  // The kernel uses `node` no longer.
  void Forget(uint64_t node);

  // Remembers what the reply `bytes` to a request `opcode`, which came at `asked`, says of
  // `inodes`, which are in the order of the reply.
  void Learn(uint32_t opcode, uint64_t asked, const uint8_t* bytes, size_t length,
             const std::vector<SettledInode>& inodes);

  // The owner tells of an inode unasked, as it is now: `told` is what GETATTR would be answered.
  void Tell(const ToldInode& told);

  // What GETATTR is answered; false when the owner has to be asked.
  bool Attributes(uint64_t node, int64_t now_ns, fuse_attr_out* reply);
  // The errno that GETXATTR is answered, or 0 when the owner has to be asked.
  int XattrError(uint64_t node, std::string_view name, int64_t now_ns);
  // Whether LISTXATTR is answered that there are none.
  bool IsPlain(uint64_t node, int64_t now_ns);

 private:
  struct Known {
    fuse_attr attributes;
    int64_t until_ns;
    bool plain;
  };

  static constexpr size_t kStripes = 4096;
  // About 30 MB. More inodes than that are asked about.
  static constexpr size_t kMaxKnown = 200'000;

  // The rest needs mutex_.
  const Known* Find(uint64_t node, int64_t now_ns);
  void Keep(const SettledInode& inode, uint64_t asked, const fuse_attr& attributes,
            int64_t until_ns);
  void LearnDirectory(uint64_t asked, const uint8_t* bytes, size_t length,
                      const std::vector<SettledInode>& inodes, int64_t now_ns);

  std::atomic<uint64_t> moment_{0};
  std::mutex mutex_;
  std::unordered_map<uint64_t, Known> known_;
  // When a node of the stripe last changed.
  std::array<uint64_t, kStripes> changed_{};
  bool offered_ = false;
  std::vector<std::string> prefixes_;
};

// Whether a request may change the attributes of the inode that it names, or extended ones.
bool MayChange(uint32_t opcode, const uint8_t* frame, size_t length);

}  // namespace abfs
