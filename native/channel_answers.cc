// What a channel answers by itself, and what it notes of requests for that.
#include <linux/fuse.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "channel.h"
#include "wire.h"

namespace abfs {

namespace {

// Less is copied twice in the time of the system calls that spare a copy.
constexpr int64_t kSplicedBytes = 64 << 10;

// The times in an offer count from when it was made; the kernel counts them from when it gets it.
constexpr int64_t kOfferNs = 50'000'000;

}  // namespace

bool Channel::AnswerHere(const Frame& frame, const fuse_in_header& head) {
  switch (head.opcode) {
    case FUSE_LOOKUP:
      return AnswerLookup(frame, head);
    case FUSE_READ:
      return AnswerRead(frame, head.unique);
    case FUSE_GETATTR:
      return AnswerGetattr(frame, head);
    case FUSE_GETXATTR:
      return AnswerGetxattr(frame, head);
    case FUSE_LISTXATTR:
      return AnswerListxattr(frame, head);
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
      return AnswerReaddir(frame, head);
    default:
      return false;
  }
}

bool Channel::AnswerLookup(const Frame& frame, const fuse_in_header& head) {
  const auto length = static_cast<size_t>(frame.length_bytes);
  const std::string_view name = NameAt(BytesOf(frame.slot), length, sizeof head);
  int64_t rest_ns = 0;
  if (!IsPlainName(name)) return false;
  if (!names_.IsAbsent({head.nodeid, NameHits::HashOf(name)}, NowNs(), &rest_ns)) return false;
  fuse_entry_out absent{};
  absent.entry_valid = static_cast<uint64_t>(rest_ns / kSecondNs);
  absent.entry_valid_nsec = static_cast<uint32_t>(rest_ns % kSecondNs);
  AnswerWith(frame.source, head.unique, &absent, sizeof absent);
  return true;
}

bool Channel::AnswerGetattr(const Frame& frame, const fuse_in_header& head) {
  fuse_getattr_in request{};
  fuse_attr_out reply{};
  const auto length = static_cast<size_t>(frame.length_bytes);
  if (!ReadArgument(BytesOf(frame.slot), length, &request)) return false;
  if (!inodes_.Attributes(head.nodeid, NowNs(), &reply)) return false;
  AnswerWith(frame.source, head.unique, &reply, sizeof reply);
  return true;
}

bool Channel::AnswerGetxattr(const Frame& frame, const fuse_in_header& head) {
  constexpr size_t kName = sizeof(fuse_in_header) + sizeof(fuse_getxattr_in);
  const auto length = static_cast<size_t>(frame.length_bytes);
  if (length <= kName) return false;
  const std::string_view rest(reinterpret_cast<const char*>(BytesOf(frame.slot)) + kName,
                              length - kName);
  const size_t end = rest.find('\0');
  if (end == std::string_view::npos) return false;
  const int error = inodes_.XattrError(head.nodeid, rest.substr(0, end), NowNs());
  if (error == 0) return false;
  Answer(frame.source, head.unique, error);
  return true;
}

bool Channel::AnswerListxattr(const Frame& frame, const fuse_in_header& head) {
  fuse_getxattr_in request{};
  const auto length = static_cast<size_t>(frame.length_bytes);
  if (!ReadArgument(BytesOf(frame.slot), length, &request)) return false;
  if (!inodes_.IsPlain(head.nodeid, NowNs())) return false;
  const fuse_getxattr_out none{};
  AnswerWith(frame.source, head.unique, &none, request.size == 0 ? sizeof none : 0);
  return true;
}

bool Channel::AnswerReaddir(const Frame& frame, const fuse_in_header& head) {
  fuse_read_in request{};
  const auto length = static_cast<size_t>(frame.length_bytes);
  if (!ReadArgument(BytesOf(frame.slot), length, &request)) return false;
  if (request.offset != 0 && directories_.IsEnd(request.fh, request.offset)) {
    AnswerWith(frame.source, head.unique, nullptr, 0);
    return true;
  }
  directories_.ForgetEnd(request.fh);
  FirstNames names;
  if (!directories_.Take(request.fh, &names)) return false;
  const bool fits = names.message.size() - sizeof(fuse_out_header) <= request.size;
  const bool holds =
      names.moment == inodes_.Moment() && NowNs() - names.offered_ns < kOfferNs && fits;
  if (!holds || head.opcode != FUSE_READDIRPLUS || request.offset != 0) {
    TakeLookupsBack(names);
    return false;
  }
  fuse_out_header reply = StatusReply(head.unique, 0);
  reply.len = static_cast<uint32_t>(names.message.size());
  std::memcpy(names.message.data(), &reply, sizeof reply);
  directories_.NoteEnd(request.fh, names.end);
  inodes_.Learn(FUSE_READDIRPLUS, names.moment, names.message.data(), names.message.size(),
                names.settled);
  const iovec part{names.message.data(), names.message.size()};
  // A caller that is gone meanwhile was told of nothing.
  if (Write(frame.source, &part, 1) < 0) TakeLookupsBack(names);
  return true;
}

void Channel::OfferNames(uint64_t handle, FirstNames names) {
  names.moment = inodes_.Moment();
  names.offered_ns = NowNs();
  directories_.Offer(handle, std::move(names));
}

void Channel::WithdrawNames(uint64_t handle) {
  directories_.ForgetEnd(handle);
  FirstNames names;
  if (directories_.Take(handle, &names)) TakeLookupsBack(names);
}

void Channel::TakeLookupsBack(const FirstNames& names) {
  const std::lock_guard lock(mutex_);
  fuse_direntplus entry{};
  for (size_t at = sizeof(fuse_out_header); at + sizeof entry <= names.message.size();
       at += FUSE_DIRENTPLUS_SIZE(&entry)) {
    entry = ReadStruct<fuse_direntplus>(names.message.data() + at);
    if (entry.entry_out.nodeid != 0) deferred_.Forget(entry.entry_out.nodeid, 1);
  }
}

bool Channel::AnswerRead(const Frame& frame, uint64_t unique) {
  fuse_read_in request{};
  uint8_t* const slot = options_.pool + static_cast<size_t>(frame.slot) * options_.slot_bytes;
  if (!ReadArgument(slot, static_cast<size_t>(frame.length_bytes), &request)) return false;
  // The request is at the beginning of the slot; a page further is room for the largest answer.
  constexpr size_t kPage = 4096;
  if (request.size > options_.slot_bytes - kPage) return false;
  std::vector<FilePart> parts;
  const int64_t size = hits_.Find(request.fh, request.offset, request.size, &parts);
  if (size < 0) return false;
  fuse_out_header head = StatusReply(unique, 0);
  head.len += static_cast<uint32_t>(size);
  Reader& reader = readers_[static_cast<size_t>(frame.source)];
  const bool pays = size >= kSplicedBytes;
  if (pays && reader.splicer.Send(reader.device.get(), head, parts)) return true;
  if (!DataHits::Read(parts, slot + kPage)) return false;
  const iovec pieces[] = {{&head, sizeof head}, {slot + kPage, static_cast<size_t>(size)}};
  // A reader that is gone meanwhile needs no answer.
  Write(frame.source, pieces, 2);
  return true;
}

void Channel::NoteChanges(const Frame& frame, LiveRequest* request) {
  const uint8_t* const bytes = BytesOf(frame.slot);
  const auto length = static_cast<size_t>(frame.length_bytes);
  if (MayChange(request->opcode, bytes, length)) {
    request->changes[0] = ReadStruct<fuse_in_header>(bytes).nodeid;
    fuse_rename_in rename{};
    fuse_copy_file_range_in copy{};
    const bool renames = request->opcode == FUSE_RENAME || request->opcode == FUSE_RENAME2;
    // Both kinds of rename begin with the new parent.
    if (renames && ReadArgument(bytes, length, &rename)) request->changes[1] = rename.newdir;
    if (request->opcode == FUSE_COPY_FILE_RANGE && ReadArgument(bytes, length, &copy)) {
      request->changes[1] = copy.nodeid_out;
    }
  }
  fuse_write_in write{};
  if (request->opcode == FUSE_WRITE && ReadArgument(bytes, length, &write)) {
    const std::lock_guard lock(mutex_);
    idle_handles_.erase(write.fh);
  }
  for (const uint64_t node : request->changes) {
    if (node != 0) inodes_.Changed(node);
  }
  request->made = MadeName(request->opcode, bytes, length);
  if (request->made.directory != 0) names_.Add(request->made);
  request->asked = inodes_.Moment();
}

void Channel::HandleIdle(uint64_t handle) {
  const std::lock_guard lock(mutex_);
  idle_handles_.insert(handle);
}

bool Channel::ClosesIdle(const Frame& frame, const fuse_in_header& head) {
  fuse_release_in release{};
  const auto length = static_cast<size_t>(frame.length_bytes);
  const bool closes = head.opcode == FUSE_RELEASE || head.opcode == FUSE_RELEASEDIR;
  if (!closes || length != Deferred::kReleaseBytes) return false;
  ReadArgument(BytesOf(frame.slot), length, &release);
  if (head.opcode == FUSE_RELEASEDIR) {
    WithdrawNames(release.fh);
    return true;
  }
  hits_.Detach(release.fh);
  const std::lock_guard lock(mutex_);
  const bool idle = idle_handles_.erase(release.fh) > 0;
  // Somebody may wait for the lock.
  return idle && (release.release_flags & FUSE_RELEASE_FLOCK_UNLOCK) == 0;
}

bool Channel::Defer(const Frame& frame, const fuse_in_header& head) {
  const uint8_t* const bytes = BytesOf(frame.slot);
  const auto length = static_cast<size_t>(frame.length_bytes);
  fuse_forget_in forget{};
  const bool forgets = head.opcode == FUSE_FORGET && ReadArgument(bytes, length, &forget);
  const bool closes = ClosesIdle(frame, head);
  if (!forgets && !closes) return false;
  std::unique_lock lock(mutex_);
  if (deferred_.Full()) return false;
  if (forgets) deferred_.Forget(head.nodeid, forget.nlookup);
  if (closes) deferred_.Release(bytes, frame.source);
  if (deferred_.Presses())
    Wake(&lock);
  else
    lock.unlock();
  if (closes) Answer(frame.source, head.unique, 0);
  return true;
}

void Channel::TakeDeferred(std::vector<Frame>* frames) {
  while (!deferred_.Empty() && !free_slots_.empty()) {
    Frame frame{};
    frame.slot = free_slots_.back();
    free_slots_.pop_back();
    uint8_t* const slot = options_.pool + static_cast<size_t>(frame.slot) * options_.slot_bytes;
    frame.length_bytes =
        static_cast<int32_t>(deferred_.TakeInto(slot, options_.slot_bytes, &frame.source));
    frames->push_back(frame);
  }
}

// The watchdog's: in a quarter of a second at the latest the owner hears of everything.
void Channel::WakeForDeferred() {
  std::unique_lock lock(mutex_);
  if (!deferred_.Empty()) Wake(&lock);
}

void Channel::ForgetNode(uint64_t node) {
  inodes_.Forget(node);
  names_.Forget(node);
}

void Channel::NoteForgets(const Frame& frame) {
  const uint8_t* const bytes = BytesOf(frame.slot);
  const auto length = static_cast<size_t>(frame.length_bytes);
  const auto head = ReadStruct<fuse_in_header>(bytes);
  if (head.opcode == FUSE_FORGET) ForgetNode(head.nodeid);
  fuse_batch_forget_in batch{};
  if (head.opcode != FUSE_BATCH_FORGET || !ReadArgument(bytes, length, &batch)) return;
  size_t at = sizeof head + sizeof batch;
  for (uint32_t index = 0; index < batch.count && at + sizeof(fuse_forget_one) <= length; ++index) {
    ForgetNode(ReadStruct<fuse_forget_one>(bytes + at).nodeid);
    at += sizeof(fuse_forget_one);
  }
}

}  // namespace abfs
