#pragma once

#include <linux/fuse.h>
#include <napi.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "channel.h"
#include "unique_fd.h"

namespace abfs {

// One FUSE connection. JavaScript sees `pool` (an ArrayBuffer of slots) and `frames` (an Int32Array
// of slot, length and source per frame), both allocated by V8 and pinned here by reference.
class NativeChannel : public Napi::ObjectWrap<NativeChannel> {
 public:
  static Napi::Function Define(Napi::Env env);

  // (device: number, slotCount: number, slotBytes: number, readerCount: number, deadlineMs:
  // number). Takes over the descriptor, also when it throws.
  explicit NativeChannel(const Napi::CallbackInfo& info);

  // On the JavaScript thread, by the garbage collector or the end of the environment.
  ~NativeChannel() override { Shutdown(); }

 private:
  Napi::Value Pool(const Napi::CallbackInfo&) { return pool_.Value(); }
  Napi::Value Frames(const Napi::CallbackInfo&) { return frames_.Value(); }

  // (onFrames: (count: number) => void, onEnd: (errno: number) => void,
  // onExpired: (unique: bigint, errno: number) => void, onSent: (ticket: number, result: number) =>
  // void): 0 or -errno. `onFrames` finds the frames in `frames` and writes -1 over the slot of each
  // one that it keeps.
  Napi::Value Receive(const Napi::CallbackInfo& info);

  // (slot: number)
  void Release(const Napi::CallbackInfo& info);

  // (source: number, parts: Uint8Array[], settled?: Float64Array, told?: Uint8Array): 0 or -errno.
  // The bytes are read before it returns. `settled` has two numbers for each inode of the reply
  // that is settled: its own, and 1 when it has no extended attributes. `told` is read by ReadTold.
  Napi::Value Send(const Napi::CallbackInfo& info);

  // (source: number, parts: Uint8Array[], ticket: number): 0 or -errno. The bytes of all parts but
  // the first, which is the head alone, must stay until `onSent` is called with the ticket, or
  // Close.
  Napi::Value SendLater(const Napi::CallbackInfo& info);

  // (unique: bigint): the request gets on.
  void Progress(const Napi::CallbackInfo& info);

  // (node: number)
  void InvalidateAttributes(const Napi::CallbackInfo& info);

  // (directory: number, name: string): others have made, replaced or removed it.
  void ExpireName(const Napi::CallbackInfo& info);

  // (node: number): what was told of it is not true any more.
  void InodeChanged(const Napi::CallbackInfo& info);

  // (directory: number, names: string[], holdsMs: number): all names of a directory, for so long.
  void NamesKnown(const Napi::CallbackInfo& info);

  // (directory: number): what was told of its names is not true any more.
  void NamesChanged(const Napi::CallbackInfo& info);

  // (handle: number): JavaScript need not hear of its end soon, until it writes.
  void HandleIdle(const Napi::CallbackInfo& info);

  // (prefixes: string[]): the beginnings of names of extended attributes that are answered.
  void OfferXattrs(const Napi::CallbackInfo& info);

  // (handle: number, message: Uint8Array, end: number, settled: Float64Array): the names of a
  // directory, as FirstNames has them; `settled` as for Send.
  void OfferNames(const Napi::CallbackInfo& info);

  // (handle: number)
  void WithdrawNames(const Napi::CallbackInfo& info);

  // (node: number): Promise<0|-errno>
  Napi::Value InvalidateContent(const Napi::CallbackInfo& info);
  Napi::Value InvalidateSize(const Napi::CallbackInfo& info);
  Napi::Value Invalidate(const Napi::CallbackInfo& info, int (*invalidate)(int, uint64_t));

  // (handle, size: number): reads of `handle` are answered where pieces are.
  void AttachContent(const Napi::CallbackInfo& info);

  // (handle, start, size, file: number, complete: boolean): 0 or -errno. `file` stays the caller's.
  Napi::Value AddPiece(const Napi::CallbackInfo& info);

  // (handle, start, size: number)
  void MarkPresent(const Napi::CallbackInfo& info);

  // (handle: number)
  void DetachContent(const Napi::CallbackInfo& info);

  // (file: number): a number from 1 on, or -errno. `file` stays the caller's.
  Napi::Value OpenBacking(const Napi::CallbackInfo& info);

  // (backing: number): 0 or -errno
  Napi::Value CloseBacking(const Napi::CallbackInfo& info);

  void Close(const Napi::CallbackInfo&) { Shutdown(); }

  // When the environment (the process's, a worker's) ends before Close.
  static void OnCleanup(void* self) { static_cast<NativeChannel*>(self)->Shutdown(); }

  // The order matters: no reader may run when the function that wakes JavaScript goes, nor when the
  // memory it reads into may be collected.
  void Shutdown();

  static void OnWake(Napi::Env env, Napi::Function, NativeChannel* self, std::nullptr_t*) {
    if (env != nullptr) self->Deliver();
  }

  void Deliver();

  // After the frames: a request is known before its end is.
  void DeliverExpired();

  void DeliverSent();

  void DeliverBatch();

  // The parts of a reply; throws and returns false when the arguments are none.
  bool PartsOf(const Napi::CallbackInfo& info, iovec* vectors, uint32_t* count,
               fuse_out_header* head);

  // Throws when one of the first `count` arguments is no number.
  bool AreNumbers(const Napi::CallbackInfo& info, size_t count);

  static uint64_t U64(const Napi::Value& number) {
    return static_cast<uint64_t>(number.As<Napi::Number>().Int64Value());
  }

  Napi::Value Result(int value) { return Napi::Number::New(env_, value); }

  Napi::Value Reject(const char* message);

  using Wake = Napi::TypedThreadSafeFunction<NativeChannel, std::nullptr_t, &NativeChannel::OnWake>;

  Napi::Env env_;
  UniqueFd device_;
  int slot_count_ = 0;
  size_t slot_bytes_ = 0;
  int reader_count_ = 0;
  int64_t deadline_ms_ = 0;
  bool own_queues_ = true;
  Napi::Reference<Napi::ArrayBuffer> pool_;
  Napi::Reference<Napi::Int32Array> frames_;
  Napi::FunctionReference on_frames_;
  Napi::FunctionReference on_end_;
  Napi::FunctionReference on_expired_;
  Napi::FunctionReference on_sent_;
  Wake wake_;
  std::unique_ptr<Channel> channel_;
  std::vector<Frame> batch_;
  std::vector<Expiry> expired_;
  std::vector<SentReply> sent_;
  std::vector<SettledInode> settled_;
  std::vector<ToldInode> told_;
  bool end_told_ = false;
};

}  // namespace abfs
