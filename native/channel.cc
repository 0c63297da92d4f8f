#include "channel.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "wire.h"

namespace abfs {

namespace {

int SetNonBlocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  return ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int Watch(int poll, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

// Another descriptor of the connection, with a request queue of its own. Invalid when the device
// may not be opened again, as in a container that got its descriptor from outside.
UniqueFd Clone(int device) {
  UniqueFd clone(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!clone.valid()) return clone;
  uint32_t original = static_cast<uint32_t>(device);
  if (::ioctl(clone.get(), FUSE_DEV_IOC_CLONE, &original) < 0) clone.Reset();
  return clone;
}

}  // namespace

Channel::Channel(Options options)
    : options_(std::move(options)),
      watchdog_(
          {.live = &live_,
           .deadline_ns = options_.deadline_ns,
           .answer = [this](const LiveRequest& request, int error) { Expire(request, error); },
           .after_look = [this] { DropAnswered(); }}),
      slot_out_(static_cast<size_t>(options_.slot_count), false) {
  for (int slot = options_.slot_count - 1; slot >= 0; --slot) free_slots_.push_back(slot);
}

Channel::~Channel() { Stop(); }

int Channel::Start() {
  // One that was given to this process is not for those that it starts: they would keep the mount.
  if (::fcntl(options_.device.get(), F_SETFD, FD_CLOEXEC) < 0) return -errno;
  stop_event_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_event_.valid()) return -errno;
  readers_.resize(static_cast<size_t>(options_.reader_count));
  for (int index = 0; index < options_.reader_count; ++index) {
    const int error = OpenReader(&readers_[static_cast<size_t>(index)], index);
    if (error < 0) {
      CloseDescriptors();
      return error;
    }
  }
  live_readers_ = options_.reader_count;
  for (int index = 0; index < options_.reader_count; ++index) {
    readers_[static_cast<size_t>(index)].thread = std::thread([this, index] { Read(index); });
  }
  watchdog_.Start();
  notifier_.Start(readers_.front().device.get());
  sender_.Start(
      {.send = [this](const LateReply& reply) { return SendLate(reply); }, .wake = options_.wake});
  return 0;
}

int Channel::OpenReader(Reader* reader, int index) {
  if (index > 0 && options_.own_queues) reader->device = Clone(options_.device.get());
  if (!reader->device.valid()) {
    reader->device = UniqueFd(::fcntl(options_.device.get(), F_DUPFD_CLOEXEC, 0));
  }
  reader->poll = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!reader->device.valid() || !reader->poll.valid()) return -errno;
  if (const int error = SetNonBlocking(reader->device.get()); error < 0) return error;
  if (const int error = Watch(reader->poll.get(), stop_event_.get(), EPOLLIN); error < 0) {
    return error;
  }
  return Watch(reader->poll.get(), reader->device.get(), EPOLLIN | EPOLLEXCLUSIVE);
}

void Channel::Take(std::vector<Frame>* frames) {
  frames->clear();
  const std::lock_guard lock(mutex_);
  // Who changes a file that was closed before finds it closed.
  TakeDeferred(frames);
  frames->insert(frames->end(), ready_.begin(), ready_.end());
  ready_.clear();
  owner_stuck_ = false;
  owner_woken_ = false;
  for (const Frame& frame : *frames) {
    slot_out_[static_cast<size_t>(frame.slot)] = true;
    const auto head = ReadStruct<fuse_in_header>(BytesOf(frame.slot));
    fuse_interrupt_in interrupt{};
    const auto length = static_cast<size_t>(frame.length_bytes);
    if (head.opcode == FUSE_INTERRUPT && ReadArgument(BytesOf(frame.slot), length, &interrupt)) {
      live_.InterruptTaken(interrupt.unique);
    }
  }
}

void Channel::TakeExpired(std::vector<Expiry>* expired) {
  expired->clear();
  const std::lock_guard lock(mutex_);
  expired->swap(expired_);
}

void Channel::Release(int slot) {
  if (slot < 0 || slot >= options_.slot_count) return;
  {
    const std::lock_guard lock(mutex_);
    if (!slot_out_[static_cast<size_t>(slot)]) return;
    slot_out_[static_cast<size_t>(slot)] = false;
    free_slots_.push_back(slot);
  }
  slot_freed_.notify_one();
}

int Channel::Send(int source, uint64_t unique, const iovec* parts, int count,
                  const std::vector<SettledInode>& settled, const std::vector<ToldInode>& told) {
  if (source < 0 || source >= static_cast<int>(readers_.size())) return -EINVAL;
  LiveRequest request{};
  if (!live_.End(unique, &request)) return -ENOENT;
  for (const uint64_t node : request.changes) {
    if (node != 0) inodes_.Changed(node);
  }
  if (request.made.directory != 0) names_.Add(request.made);
  // Whoever gets the reply may ask at once.
  for (const ToldInode& inode : told) inodes_.Tell(inode);
  const int result = Write(source, parts, count);
  if (result == 0) {
    const auto* const bytes = static_cast<const uint8_t*>(parts[0].iov_base);
    inodes_.Learn(request.opcode, request.asked, bytes, parts[0].iov_len, settled);
  }
  // A reply that the kernel will not have: the caller must not wait for another.
  if (result < 0 && result != -ENOENT) Answer(source, unique, EIO);
  return result;
}

int Channel::SendLate(const LateReply& reply) {
  std::vector<iovec> parts;
  parts.reserve(reply.data.size() + 1);
  parts.push_back({const_cast<fuse_out_header*>(&reply.head), sizeof reply.head});
  parts.insert(parts.end(), reply.data.begin(), reply.data.end());
  return Send(reply.source, reply.head.unique, parts.data(), static_cast<int>(parts.size()), {});
}

int Channel::Write(int source, const iovec* parts, int count) const {
  const int fd = readers_[static_cast<size_t>(source)].device.get();
  if (fd < 0) return -EBADF;
  // The kernel takes a message whole or not at all.
  while (::writev(fd, parts, count) < 0) {
    if (errno != EINTR) return -errno;
  }
  return 0;
}

bool Channel::Ended(int* error) {
  const std::lock_guard lock(mutex_);
  *error = end_error_;
  return live_readers_ == 0 && !readers_.empty();
}

void Channel::Stop() {
  if (!stop_event_.valid()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  slot_freed_.notify_all();
  ::eventfd_write(stop_event_.get(), 1);
  watchdog_.Stop();
  notifier_.Stop();
  sender_.Stop();
  for (Reader& reader : readers_) {
    if (reader.thread.joinable()) reader.thread.join();
  }
  CloseDescriptors();
}

void Channel::CloseDescriptors() {
  for (Reader& reader : readers_) {
    reader.poll.Reset();
    reader.device.Reset();
  }
  options_.device.Reset();
  stop_event_.Reset();
}

UniqueFd Channel::DuplicateDevice() const {
  return UniqueFd(::fcntl(readers_.front().device.get(), F_DUPFD_CLOEXEC, 0));
}

int Channel::OpenBacking(int file) const {
  BackingMap map{};
  map.fd = file;
  const int id = ::ioctl(readers_.front().device.get(), kBackingOpen, &map);
  return id < 0 ? -errno : id;
}

int Channel::CloseBacking(int backing) const {
  const auto id = static_cast<uint32_t>(backing);
  return ::ioctl(readers_.front().device.get(), kBackingClose, &id) < 0 ? -errno : 0;
}

void Channel::Wake(std::unique_lock<std::mutex>* lock) {
  const bool first = !owner_woken_;
  owner_woken_ = true;
  lock->unlock();
  if (first) options_.wake();
}

const uint8_t* Channel::BytesOf(int slot) const {
  return options_.pool + static_cast<size_t>(slot) * options_.slot_bytes;
}

void Channel::Answer(int source, uint64_t unique, int error) const {
  const fuse_out_header reply = StatusReply(unique, error);
  const iovec part{const_cast<fuse_out_header*>(&reply), sizeof reply};
  // A request that the kernel has given up meanwhile needs no answer.
  Write(source, &part, 1);
}

void Channel::AnswerWith(int source, uint64_t unique, const void* body, size_t size) const {
  fuse_out_header head = StatusReply(unique, 0);
  head.len += static_cast<uint32_t>(size);
  const iovec parts[] = {{&head, sizeof head}, {const_cast<void*>(body), size}};
  // A caller that is gone meanwhile needs no answer.
  Write(source, parts, size == 0 ? 1 : 2);
}

void Channel::Expire(const LiveRequest& request, int error) {
  Answer(request.source, request.unique, error);
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = expired_.empty();
    expired_.push_back({request.unique, error});
    const auto waits = [&](const Frame& frame) {
      return ReadStruct<fuse_in_header>(BytesOf(frame.slot)).unique == request.unique;
    };
    if (error == ETIMEDOUT && std::any_of(ready_.begin(), ready_.end(), waits)) owner_stuck_ = true;
  }
  if (first) options_.wake();
}

// Frees the slots of frames that were answered before the owner came to take them: otherwise one
// that is stuck would soon leave none, and nothing would be read any more.
void Channel::DropAnswered() {
  bool freed = false;
  {
    const std::lock_guard lock(mutex_);
    const auto answered = [this](const Frame& frame) {
      const auto head = ReadStruct<fuse_in_header>(BytesOf(frame.slot));
      return !IsOneWay(head.opcode) && !live_.Contains(head.unique);
    };
    const auto kept = std::stable_partition(ready_.begin(), ready_.end(),
                                            [&](const Frame& frame) { return !answered(frame); });
    for (auto frame = kept; frame != ready_.end(); ++frame) free_slots_.push_back(frame->slot);
    freed = kept != ready_.end();
    ready_.erase(kept, ready_.end());
  }
  if (freed) slot_freed_.notify_all();
  WakeForDeferred();
}

}  // namespace abfs
