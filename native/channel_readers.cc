// What the reader threads of a channel do: take requests from the kernel, note each one, and hand
// on what is not answered here.
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "caller.h"
#include "channel.h"
#include "wire.h"

namespace abfs {

namespace {

// Signals belong to the threads of the process that hosts the channel.
void BlockSignals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

void Channel::Read(int source) {
  BlockSignals();
  const Reader& reader = readers_[static_cast<size_t>(source)];
  int slot = AwaitSlot();
  while (slot >= 0) {
    int length = 0;
    while (length == 0) length = ReadFrame(reader, slot);
    if (length < 0) return Finish(slot, -length);
    const Frame frame{slot, length, source};
    // What is answered here leaves its slot for the next.
    if (!Admit(frame)) continue;
    Deliver(frame);
    slot = AwaitSlot();
  }
  Finish(slot, 0);
}

bool Channel::Admit(const Frame& frame) {
  const uint8_t* const bytes = BytesOf(frame.slot);
  if (static_cast<size_t>(frame.length_bytes) < sizeof(fuse_in_header)) return true;
  const auto head = ReadStruct<fuse_in_header>(bytes);
  if (head.opcode == FUSE_INTERRUPT) return AdmitInterrupt(frame);
  if (IsOneWay(head.opcode)) NoteForgets(frame);
  if (Defer(frame, head)) return false;
  if (IsOneWay(head.opcode)) return true;
  if (AnswerHere(frame, head)) return false;
  LiveRequest request{};
  request.unique = head.unique;
  request.source = frame.source;
  request.pid = head.pid;
  request.opcode = head.opcode;
  request.progress_ns = NowNs();
  NoteChanges(frame, &request);
  {
    const std::lock_guard lock(mutex_);
    if (!owner_stuck_) {
      live_.Begin(request);
      return true;
    }
  }
  Answer(frame.source, head.unique, ETIMEDOUT);
  return false;
}

bool Channel::AdmitInterrupt(const Frame& frame) {
  const uint8_t* const bytes = BytesOf(frame.slot);
  fuse_interrupt_in interrupt{};
  if (!ReadArgument(bytes, static_cast<size_t>(frame.length_bytes), &interrupt)) return true;
  LiveRequest request{};
  if (!live_.Interrupt(interrupt.unique, NowNs(), &request)) {
    // Answered, or not yet noted by the reader that took it.
    PostponeInterrupt(ReadStruct<fuse_in_header>(bytes).unique);
    return false;
  }
  const Caller caller = LookAtCaller(request.pid);
  // As on a local disk: a handler runs when its program's call is done. The watchdog goes on
  // looking, as the kernel sends no second interrupt when a signal comes that kills.
  if (caller == Caller::kLiving) return WaitsForOthers(request.opcode);
  if (caller == Caller::kDying && live_.End(interrupt.unique)) {
    // Any reader may take the interrupt; the kernel knows the request on its own reader's
    // descriptor.
    Answer(request.source, interrupt.unique, EINTR);
  }
  return true;
}

// The kernel knows the request on the descriptor that read it alone; the others refuse with ENOENT.
void Channel::PostponeInterrupt(uint64_t unique) const {
  for (size_t source = 0; source < readers_.size(); ++source) {
    Answer(static_cast<int>(source), unique, EAGAIN);
  }
}

int Channel::AwaitSlot() {
  std::unique_lock lock(mutex_);
  slot_freed_.wait(lock, [this] { return stopping_ || !free_slots_.empty(); });
  if (stopping_) return -1;
  const int slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

int Channel::ReadFrame(const Reader& reader, int slot) const {
  uint8_t* const bytes = options_.pool + static_cast<size_t>(slot) * options_.slot_bytes;
  const ssize_t length = ::read(reader.device.get(), bytes, options_.slot_bytes);
  if (length > 0) return static_cast<int>(length);
  // ENOENT: the request was interrupted before anybody read it.
  if (length == 0 || errno == EINTR || errno == ENOENT) return 0;
  if (errno != EAGAIN) return -errno;
  epoll_event events[2];
  const int count = ::epoll_wait(reader.poll.get(), events, 2, -1);
  if (count < 0 && errno != EINTR) return -errno;
  for (int index = 0; index < count; ++index) {
    if (events[index].data.fd == stop_event_.get()) return -ECANCELED;
  }
  return 0;
}

void Channel::Deliver(const Frame& frame) {
  std::unique_lock lock(mutex_);
  ready_.push_back(frame);
  Wake(&lock);
}

void Channel::Finish(int slot, int error) {
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    if (slot >= 0) free_slots_.push_back(slot);
    // ENODEV: unmounted. ECONNABORTED: the connection was aborted. ECANCELED: Stop.
    const bool expected = error == 0 || error == ENODEV || error == ECONNABORTED;
    if (!expected && error != ECANCELED && end_error_ == 0) end_error_ = error;
    last = --live_readers_ == 0;
    stopping_ = true;
  }
  // A connection that fails for one reader is of no use to the others.
  slot_freed_.notify_all();
  ::eventfd_write(stop_event_.get(), 1);
  if (last) options_.wake();
}

}  // namespace abfs
