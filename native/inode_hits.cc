#include "inode_hits.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "watchdog.h"
#include "wire.h"

namespace abfs {

namespace {

int64_t Until(int64_t now_ns, uint64_t seconds, uint32_t nanoseconds) {
  // As good as for ever, and no overflow.
  constexpr uint64_t kMost = 1'000'000'000;
  return now_ns + static_cast<int64_t>(std::min(seconds, kMost)) * kSecondNs + nanoseconds;
}

template <typename Struct>
bool ReadReply(const uint8_t* bytes, size_t length, size_t at, Struct* value) {
  if (length < at + sizeof(Struct)) return false;
  *value = ReadStruct<Struct>(bytes + at);
  return true;
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

}  // namespace

void InodeHits::OfferXattrs(std::vector<std::string> prefixes) {
  const std::lock_guard lock(mutex_);
  prefixes_ = std::move(prefixes);
  offered_ = true;
}

void InodeHits::Changed(uint64_t node) {
  const std::lock_guard lock(mutex_);
  changed_[node % kStripes] = moment_.fetch_add(1, std::memory_order_acq_rel) + 1;
  known_.erase(node);
}

void InodeHits::Forget(uint64_t node) {
  const std::lock_guard lock(mutex_);
  known_.erase(node);
}

void InodeHits::Learn(uint32_t opcode, uint64_t asked, const uint8_t* bytes, size_t length,
                      const std::vector<SettledInode>& inodes) {
  if (inodes.empty()) return;
  const int64_t now_ns = NowNs();
  const std::lock_guard lock(mutex_);
  if (opcode == FUSE_READDIRPLUS) return LearnDirectory(asked, bytes, length, inodes, now_ns);
  if (opcode == FUSE_LOOKUP) {
    fuse_entry_out entry{};
    if (!ReadReply(bytes, length, sizeof(fuse_out_header), &entry)) return;
    if (entry.nodeid != inodes.front().node) return;
    Keep(inodes.front(), asked, entry.attr, Until(now_ns, entry.attr_valid, entry.attr_valid_nsec));
  }
  if (opcode == FUSE_GETATTR) {
    fuse_attr_out out{};
    if (!ReadReply(bytes, length, sizeof(fuse_out_header), &out)) return;
    if (out.attr.ino != inodes.front().node) return;
    Keep(inodes.front(), asked, out.attr, Until(now_ns, out.attr_valid, out.attr_valid_nsec));
  }
}

void InodeHits::Tell(const ToldInode& told) {
  const auto& [out, plain] = told;
  const int64_t until_ns = Until(NowNs(), out.attr_valid, out.attr_valid_nsec);
  const std::lock_guard lock(mutex_);
  Keep({out.attr.ino, plain}, Moment(), out.attr, until_ns);
}

void InodeHits::LearnDirectory(uint64_t asked, const uint8_t* bytes, size_t length,
                               const std::vector<SettledInode>& inodes, int64_t now_ns) {
  auto next = inodes.begin();
  size_t at = sizeof(fuse_out_header);
  fuse_direntplus entry{};
  while (next != inodes.end() && ReadReply(bytes, length, at, &entry)) {
    const fuse_entry_out& out = entry.entry_out;
    if (out.nodeid == next->node) {
      Keep(*next, asked, out.attr, Until(now_ns, out.attr_valid, out.attr_valid_nsec));
      ++next;
    }
    at += FUSE_DIRENTPLUS_SIZE(&entry);
  }
}

void InodeHits::Keep(const SettledInode& inode, uint64_t asked, const fuse_attr& attributes,
                     int64_t until_ns) {
  if (changed_[inode.node % kStripes] > asked) return;
  if (known_.size() >= kMaxKnown && !known_.contains(inode.node)) return;
  known_.insert_or_assign(inode.node, Known{attributes, until_ns, inode.plain});
}

const InodeHits::Known* InodeHits::Find(uint64_t node, int64_t now_ns) {
  const auto found = known_.find(node);
  if (found == known_.end()) return nullptr;
  if (found->second.until_ns > now_ns) return &found->second;
  known_.erase(found);
  return nullptr;
}

bool InodeHits::Attributes(uint64_t node, int64_t now_ns, fuse_attr_out* reply) {
  const std::lock_guard lock(mutex_);
  const Known* const known = Find(node, now_ns);
  if (known == nullptr) return false;
  const int64_t rest_ns = known->until_ns - now_ns;
  *reply = {};
  reply->attr_valid = static_cast<uint64_t>(rest_ns / kSecondNs);
  reply->attr_valid_nsec = static_cast<uint32_t>(rest_ns % kSecondNs);
  reply->attr = known->attributes;
  return true;
}

int InodeHits::XattrError(uint64_t node, std::string_view name, int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  if (!offered_) return 0;
  const auto has = [&](const std::string& prefix) { return StartsWith(name, prefix); };
  if (std::none_of(prefixes_.begin(), prefixes_.end(), has)) return EOPNOTSUPP;
  const Known* const known = Find(node, now_ns);
  return known != nullptr && known->plain && StartsWith(name, "user.") ? ENODATA : 0;
}

bool InodeHits::IsPlain(uint64_t node, int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const Known* const known = Find(node, now_ns);
  return offered_ && known != nullptr && known->plain;
}

bool MayChange(uint32_t opcode, const uint8_t* frame, size_t length) {
  // What is not offered is answered ENOSYS, and changes nothing.
  constexpr uint32_t kReading[] = {
      FUSE_LOOKUP,    FUSE_GETATTR, FUSE_READLINK, FUSE_READ,        FUSE_STATFS,     FUSE_GETXATTR,
      FUSE_LISTXATTR, FUSE_OPENDIR, FUSE_READDIR,  FUSE_READDIRPLUS, FUSE_RELEASEDIR, FUSE_LSEEK,
      FUSE_ACCESS,    FUSE_INIT,    FUSE_FSYNCDIR, FUSE_IOCTL,       FUSE_POLL,       FUSE_BMAP,
      FUSE_GETLK,     FUSE_SETLK,   FUSE_SETLKW};
  if (std::find(std::begin(kReading), std::end(kReading), opcode) != std::end(kReading)) {
    return false;
  }
  // `flags` are those of open(2); a frame that is too short is refused elsewhere.
  const auto writes = [](uint32_t flags) { return (flags & (O_ACCMODE | O_TRUNC)) != O_RDONLY; };
  fuse_open_in open{};
  if (opcode == FUSE_OPEN && ReadArgument(frame, length, &open)) return writes(open.flags);
  fuse_release_in release{};
  if (opcode == FUSE_RELEASE && ReadArgument(frame, length, &release)) return writes(release.flags);
  return true;
}

}  // namespace abfs
