#include "name_hits.h"

#include <linux/fuse.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "wire.h"

namespace abfs {

uint64_t NameHits::HashOf(std::string_view name) { return std::hash<std::string_view>{}(name); }

void NameHits::Learn(uint64_t directory, std::vector<uint64_t> hashes, int64_t until_ns) {
  const std::lock_guard lock(mutex_);
  if (const auto found = directories_.find(directory); found != directories_.end()) Drop(found);
  if (held_ + hashes.size() + 1 > kMaxNames) return;
  Names names{{hashes.begin(), hashes.end()}, until_ns};
  held_ += names.hashes.size() + 1;
  directories_.emplace(directory, std::move(names));
}

void NameHits::Add(const DirectoryName& name) {
  const std::lock_guard lock(mutex_);
  const auto found = directories_.find(name.directory);
  if (found == directories_.end()) return;
  if (held_ < kMaxNames)
    held_ += found->second.hashes.insert(name.hash).second ? 1 : 0;
  else
    Drop(found);
}

bool NameHits::IsAbsent(const DirectoryName& name, int64_t now_ns, int64_t* rest_ns) {
  const std::lock_guard lock(mutex_);
  const auto found = directories_.find(name.directory);
  if (found == directories_.end()) return false;
  *rest_ns = found->second.until_ns - now_ns;
  if (*rest_ns > 0) return !found->second.hashes.contains(name.hash);
  Drop(found);
  return false;
}

void NameHits::Forget(uint64_t directory) {
  const std::lock_guard lock(mutex_);
  if (const auto found = directories_.find(directory); found != directories_.end()) Drop(found);
}

void NameHits::Drop(std::unordered_map<uint64_t, Names>::iterator directory) {
  held_ -= directory->second.hashes.size() + 1;
  directories_.erase(directory);
}

bool IsPlainName(std::string_view name) {
  constexpr size_t kLongest = 255;
  const auto plain = [](char character) {
    return character >= ' ' && character <= '~' && character != '\\';
  };
  return !name.empty() && name.size() <= kLongest && std::all_of(name.begin(), name.end(), plain);
}

std::string_view NameAt(const uint8_t* frame, size_t length, size_t at) {
  if (at >= length) return {};
  const std::string_view rest(reinterpret_cast<const char*>(frame) + at, length - at);
  const size_t end = rest.find('\0');
  return end == std::string_view::npos ? std::string_view{} : rest.substr(0, end);
}

DirectoryName MadeName(uint32_t opcode, const uint8_t* frame, size_t length) {
  constexpr size_t kHead = sizeof(fuse_in_header);
  const auto made = [&](uint64_t directory, size_t at) {
    return DirectoryName{directory, NameHits::HashOf(NameAt(frame, length, at))};
  };
  // Both kinds of rename begin with the new parent, and have the old name before the new one.
  const auto renamed = [&](size_t at) {
    fuse_rename_in rename{};
    if (!ReadArgument(frame, length, &rename)) return DirectoryName{};
    return made(rename.newdir, at + NameAt(frame, length, at).size() + 1);
  };
  const uint64_t node = ReadStruct<fuse_in_header>(frame).nodeid;
  switch (opcode) {
    case FUSE_CREATE:
      return made(node, kHead + sizeof(fuse_create_in));
    case FUSE_MKDIR:
      return made(node, kHead + sizeof(fuse_mkdir_in));
    case FUSE_MKNOD:
      return made(node, kHead + sizeof(fuse_mknod_in));
    case FUSE_LINK:
      return made(node, kHead + sizeof(fuse_link_in));
    case FUSE_SYMLINK:
      return made(node, kHead);
    case FUSE_RENAME:
      return renamed(kHead + sizeof(fuse_rename_in));
    case FUSE_RENAME2:
      return renamed(kHead + sizeof(fuse_rename2_in));
    default:
      return {};
  }
}

}  // namespace abfs
