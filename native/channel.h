#pragma once

#include <sys/uio.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "data_hits.h"
#include "deferred.h"
#include "directory_hits.h"
#include "inode_hits.h"
#include "live_requests.h"
#include "name_hits.h"
#include "notifier.h"
#include "sender.h"
#include "splicer.h"
#include "unique_fd.h"
#include "watchdog.h"

namespace abfs {

// One request of the kernel, complete in a slot of the pool.
struct Frame {
  int32_t slot;
  int32_t length_bytes;
  // The reader that took it: the kernel looks for the request only on the descriptor that read it.
  int32_t source;
};

// A request that was answered without its owner: ETIMEDOUT at its deadline, EINTR when its caller
// was killed.
struct Expiry {
  uint64_t unique;
  int error;
};

// Owns the descriptors of one FUSE connection and the threads that read it. "The owner" below is
// the one thread that made the channel (the JavaScript thread); no method may run on another.
class Channel {
 public:
  struct Options {
    // An open /dev/fuse that belongs to a mount.
    UniqueFd device;
    // slot_count * slot_bytes bytes, which must stay until Stop has returned.
    uint8_t* pool = nullptr;
    size_t slot_bytes = 0;
    int slot_count = 0;
    int reader_count = 1;
    // Whether each reader has a queue of its own. The kernel fails what is in it when it is closed:
    // requests that are to outlive this process stay in the queue of the device.
    bool own_queues = true;
    // How long a request may go without progress before it is answered with ETIMEDOUT; 0 for ever.
    int64_t deadline_ns = 0;
    // Runs on a reader thread when there is something to Take and the owner has not been told, and
    // when the connection has ended. Must not block.
    std::function<void()> wake;
  };

  explicit Channel(Options options);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Starts the readers. Returns 0 or -errno, with nothing started.
  int Start();

  // Moves all waiting frames to `frames`. Each one's slot is the owner's until Release.
  void Take(std::vector<Frame>* frames);

  // Moves the requests that were answered here, without the owner, to `expired`.
  void TakeExpired(std::vector<Expiry>* expired);

  // Gives a slot back to the readers; a slot that is not out is ignored.
  void Release(int slot);

  // Sends the reply to request `unique` to the descriptor of reader `source`. Returns 0 or -errno;
  // -ENOENT when the request has been answered: its caller was killed, or its deadline passed. What
  // the reply says of `settled` inodes is answered from memory while it holds, and so is what is
  // `told` beside it.
  int Send(int source, uint64_t unique, const iovec* parts, int count,
           const std::vector<SettledInode>& settled, const std::vector<ToldInode>& told = {});

  // Sends it some time later; TakeSent tells. What waits when the channel stops is dropped.
  void SendLater(LateReply reply) { sender_.Add(std::move(reply)); }
  void TakeSent(std::vector<SentReply>* sent) { sender_.Take(sent); }

  // The request gets on: its deadline begins anew.
  void Progress(uint64_t unique) { live_.Progress(unique, NowNs()); }

  // The kernel is told, some time later, that attributes of `node` have changed.
  void InvalidateAttributes(uint64_t node) {
    inodes_.Changed(node);
    notifier_.InvalidateAttributes(node);
  }

  // As InvalidateAttributes, of a name that others have made, replaced or removed.
  void ExpireName(uint64_t directory, const std::string& name) {
    inodes_.Changed(directory);
    names_.Forget(directory);
    notifier_.ExpireName(directory, name);
  }

  // What is asked of inodes is answered from without the owner.
  InodeHits& inodes() { return inodes_; }
  // What is asked of names is answered from without the owner.
  NameHits& names() { return names_; }
  // Another descriptor of the connection, for whoever must not depend on how long this lives.
  UniqueFd DuplicateDevice() const;

  // The kernel is about to read the directory `handle`, whose names are `names`; `moment` and
  // `offered_ns` are set here. What is not asked for soon, or before anything changes, is dropped.
  void OfferNames(uint64_t handle, FirstNames names);
  // The kernel never heard of `handle`.
  void WithdrawNames(uint64_t handle);

  // All that was written by open file `handle` is stored, or it cannot write: until it does, its
  // end can wait.
  void HandleIdle(uint64_t handle);

  // What reads are answered from without the owner.
  DataHits& hits() { return hits_; }

  // Registers `file` as what the kernel itself may read an open file from (passthrough). Returns
  // its number, or -errno: -EPERM without CAP_SYS_ADMIN.
  int OpenBacking(int file) const;
  int CloseBacking(int backing) const;

  // Whether all readers have ended by themselves; then `error` is 0 (the connection was closed by
  // the kernel) or the errno of the read that failed.
  bool Ended(int* error);

  // Stops and joins the readers and closes the descriptors, which ends the connection unless
  // somebody else holds one. Idempotent.
  void Stop();

 private:
  // What a reader waits with: its own epoll set, so that one request wakes one reader.
  struct Reader {
    UniqueFd device;
    UniqueFd poll;
    // For the thread alone.
    Splicer splicer;
    std::thread thread;
  };

  int OpenReader(Reader* reader, int index);
  void CloseDescriptors();
  // Wakes the owner, unless it was. Needs the lock of mutex_, and gives it up.
  void Wake(std::unique_lock<std::mutex>* lock);
  // The rest run on reader threads.
  void Read(int source);
  int AwaitSlot();
  // Reads one request into `slot`. Returns its length, 0 to try again, or -errno.
  int ReadFrame(const Reader& reader, int slot) const;
  // Notes the request in `slot`, and answers it when it is for this side alone. Returns whether the
  // owner must see it.
  bool Admit(const Frame& frame);
  // Answers what is known here; false when the owner has to.
  bool AnswerHere(const Frame& frame, const fuse_in_header& head);
  bool AnswerLookup(const Frame& frame, const fuse_in_header& head);
  bool AnswerGetattr(const Frame& frame, const fuse_in_header& head);
  bool AnswerGetxattr(const Frame& frame, const fuse_in_header& head);
  bool AnswerListxattr(const Frame& frame, const fuse_in_header& head);
  bool AnswerReaddir(const Frame& frame, const fuse_in_header& head);
  // The kernel was not told of the inodes in `names`: as if it had forgotten them.
  void TakeLookupsBack(const FirstNames& names);
  // Has what the request may change asked of the owner from now on.
  void NoteChanges(const Frame& frame, LiveRequest* request);
  void ForgetNode(uint64_t node);
  void NoteForgets(const Frame& frame);
  // Keeps for the next Take what nobody waits for; false when the owner has to see the frame
  // itself.
  bool Defer(const Frame& frame, const fuse_in_header& head);
  // Whether the RELEASE or RELEASEDIR in `frame` can wait.
  bool ClosesIdle(const Frame& frame, const fuse_in_header& head);
  // Moves what was kept into slots that are free. Needs mutex_.
  void TakeDeferred(std::vector<Frame>* frames);
  void WakeForDeferred();
  // Answers a READ of what is on the local disk; false when the owner has to.
  bool AnswerRead(const Frame& frame, uint64_t unique);
  bool AdmitInterrupt(const Frame& frame);
  // Has the kernel send an interrupt again, unless its request is answered.
  void PostponeInterrupt(uint64_t unique) const;
  void Deliver(const Frame& frame);
  void Finish(int slot, int error);
  // On the sender's thread.
  int SendLate(const LateReply& reply);
  int Write(int source, const iovec* parts, int count) const;
  void Answer(int source, uint64_t unique, int error) const;
  // Answers with `size` bytes of `body`, which may be none.
  void AnswerWith(int source, uint64_t unique, const void* body, size_t size) const;
  // On the watchdog's thread.
  void Expire(const LiveRequest& request, int error);
  void DropAnswered();
  const uint8_t* BytesOf(int slot) const;

  Options options_;
  UniqueFd stop_event_;
  std::vector<Reader> readers_;
  LiveRequests live_;
  DataHits hits_;
  InodeHits inodes_;
  NameHits names_;
  DirectoryHits directories_;
  Watchdog watchdog_;
  Notifier notifier_;
  Sender sender_;

  std::mutex mutex_;
  std::condition_variable slot_freed_;
  // Guarded by mutex_. Free slots are a stack, so that the pages in use stay few.
  std::vector<int> free_slots_;
  std::vector<bool> slot_out_;
  std::vector<Frame> ready_;
  // Whether the owner was woken and has not come to Take since.
  bool owner_woken_ = false;
  // What the kernel waits for no answer to is no reason to wake the owner: it comes with the next.
  Deferred deferred_;
  // Open files whose end can wait.
  std::unordered_set<uint64_t> idle_handles_;
  std::vector<Expiry> expired_;
  // The owner has let frames wait for longer than a deadline: what comes is refused at once.
  bool owner_stuck_ = false;
  bool stopping_ = false;
  int live_readers_ = 0;
  int end_error_ = 0;
};

}  // namespace abfs
