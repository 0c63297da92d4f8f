// The Node-API surface: checks arguments, converts, calls. All of it runs on the JavaScript thread
// but for what the comments name. Failures of the system are negative errnos; a wrong argument is
// a TypeError.

#include <fcntl.h>
#include <linux/fuse.h>
#include <napi.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon_arguments.h"
#include "addon_checksums.h"
#include "addon_granules.h"
#include "addon_mounting.h"
#include "addon_peers.h"
#include "blocking_call.h"
#include "channel.h"
#include "unique_fd.h"

namespace {

using abfs::Channel;
using abfs::Expiry;
using abfs::Frame;
using abfs::UniqueFd;

constexpr size_t kMaxParts = 256;

// One FUSE connection. JavaScript sees `pool` (an ArrayBuffer of slots) and `frames` (an Int32Array
// of slot, length and source per frame), both allocated by V8 and pinned here by reference.
class NativeChannel : public Napi::ObjectWrap<NativeChannel> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "NativeChannel",
        {InstanceAccessor<&NativeChannel::Pool>("pool"),
         InstanceAccessor<&NativeChannel::Frames>("frames"),
         InstanceMethod<&NativeChannel::Receive>("receive"),
         InstanceMethod<&NativeChannel::Release>("release"),
         InstanceMethod<&NativeChannel::Send>("send"),
         InstanceMethod<&NativeChannel::SendLater>("sendLater"),
         InstanceMethod<&NativeChannel::Progress>("progress"),
         InstanceMethod<&NativeChannel::InvalidateAttributes>("invalidateAttributes"),
         InstanceMethod<&NativeChannel::InodeChanged>("inodeChanged"),
         InstanceMethod<&NativeChannel::OfferXattrs>("offerXattrs"),
         InstanceMethod<&NativeChannel::OfferNames>("offerNames"),
         InstanceMethod<&NativeChannel::WithdrawNames>("withdrawNames"),
         InstanceMethod<&NativeChannel::InvalidateContent>("invalidateContent"),
         InstanceMethod<&NativeChannel::AttachContent>("attachContent"),
         InstanceMethod<&NativeChannel::AddPiece>("addPiece"),
         InstanceMethod<&NativeChannel::MarkPresent>("markPresent"),
         InstanceMethod<&NativeChannel::DetachContent>("detachContent"),
         InstanceMethod<&NativeChannel::OpenBacking>("openBacking"),
         InstanceMethod<&NativeChannel::CloseBacking>("closeBacking"),
         InstanceMethod<&NativeChannel::Close>("close")});
  }

  // (device: number, slotCount: number, slotBytes: number, readerCount: number, deadlineMs:
  // number). Takes over the descriptor, also when it throws.
  explicit NativeChannel(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<NativeChannel>(info), env_(info.Env()) {
    for (size_t index = 0; index < 5; ++index) {
      if (!info[index].IsNumber()) {
        Napi::TypeError::New(env_,
                             "expected numbers: device, slotCount, slotBytes, readers, deadlineMs")
            .ThrowAsJavaScriptException();
        return;
      }
    }
    device_ = UniqueFd(info[0].As<Napi::Number>().Int32Value());
    slot_count_ = info[1].As<Napi::Number>().Int32Value();
    slot_bytes_ = info[2].As<Napi::Number>().Uint32Value();
    reader_count_ = info[3].As<Napi::Number>().Int32Value();
    deadline_ms_ = info[4].As<Napi::Number>().Int64Value();
    if (slot_count_ < 1 || slot_count_ > 4096 || slot_bytes_ < 8192 || slot_bytes_ > (16u << 20) ||
        reader_count_ < 1 || reader_count_ > 64 || deadline_ms_ < 0) {
      Napi::RangeError::New(env_, "slotCount, slotBytes, readers or deadlineMs is out of range")
          .ThrowAsJavaScriptException();
      return;
    }
    const size_t count = static_cast<size_t>(slot_count_);
    pool_ = Napi::Persistent(Napi::ArrayBuffer::New(env_, count * slot_bytes_));
    frames_ = Napi::Persistent(Napi::Int32Array::New(env_, count * 3));
  }

  // On the JavaScript thread, by the garbage collector or the end of the environment.
  ~NativeChannel() override { Shutdown(); }

 private:
  Napi::Value Pool(const Napi::CallbackInfo&) { return pool_.Value(); }
  Napi::Value Frames(const Napi::CallbackInfo&) { return frames_.Value(); }

  // (onFrames: (count: number) => void, onEnd: (errno: number) => void,
  // onExpired: (unique: bigint, errno: number) => void, onSent: (ticket: number, result: number) =>
  // void): 0 or -errno. `onFrames` finds the frames in `frames` and writes -1 over the slot of each
  // one that it keeps.
  Napi::Value Receive(const Napi::CallbackInfo& info) {
    for (size_t index = 0; index < 4; ++index) {
      if (!info[index].IsFunction()) {
        return Reject("expected functions: onFrames, onEnd, onExpired, onSent");
      }
    }
    if (channel_ || !device_.valid()) return Result(-EBADF);
    on_frames_ = Napi::Persistent(info[0].As<Napi::Function>());
    on_end_ = Napi::Persistent(info[1].As<Napi::Function>());
    on_expired_ = Napi::Persistent(info[2].As<Napi::Function>());
    on_sent_ = Napi::Persistent(info[3].As<Napi::Function>());
    wake_ = Wake::New(env_, "abfs", 0, 1, this);
    Channel::Options options;
    options.device = std::move(device_);
    options.pool = static_cast<uint8_t*>(pool_.Value().Data());
    options.slot_bytes = slot_bytes_;
    options.slot_count = slot_count_;
    options.reader_count = reader_count_;
    options.deadline_ns = deadline_ms_ * 1'000'000;
    // On a reader thread: the thread-safe function is all it touches.
    options.wake = [wake = wake_] { wake.NonBlockingCall(nullptr); };
    channel_ = std::make_unique<Channel>(std::move(options));
    const int error = channel_->Start();
    if (error < 0) {
      channel_.reset();
      wake_.Release();
      return Result(error);
    }
    // While readers run, this object must outlive its last reference in JavaScript.
    Ref();
    napi_add_env_cleanup_hook(env_, &NativeChannel::OnCleanup, this);
    return Result(0);
  }

  // (slot: number)
  void Release(const Napi::CallbackInfo& info) {
    if (!info[0].IsNumber()) {
      Reject("expected a number: slot");
      return;
    }
    if (channel_) channel_->Release(info[0].As<Napi::Number>().Int32Value());
  }

  // (source: number, parts: Uint8Array[], settled?: Float64Array, told?: Uint8Array): 0 or -errno.
  // The bytes are read before it returns. `settled` has two numbers for each inode of the reply
  // that is settled: its own, and 1 when it has no extended attributes. `told` is read by ReadTold.
  Napi::Value Send(const Napi::CallbackInfo& info) {
    iovec vectors[kMaxParts];
    uint32_t count = 0;
    fuse_out_header head{};
    if (!PartsOf(info, vectors, &count, &head)) return env_.Undefined();
    if (!channel_) return Result(-EBADF);
    const int source = info[0].As<Napi::Number>().Int32Value();
    abfs::ReadSettled(info[2], &settled_);
    abfs::ReadTold(info[3], &told_);
    const int parts = static_cast<int>(count);
    return Result(channel_->Send(source, head.unique, vectors, parts, settled_, told_));
  }

  // (source: number, parts: Uint8Array[], ticket: number): 0 or -errno. The bytes of all parts but
  // the first, which is the head alone, must stay until `onSent` is called with the ticket, or
  // Close.
  Napi::Value SendLater(const Napi::CallbackInfo& info) {
    iovec vectors[kMaxParts];
    uint32_t count = 0;
    fuse_out_header head{};
    if (!PartsOf(info, vectors, &count, &head)) return env_.Undefined();
    if (!info[2].IsNumber()) return Reject("expected a number: ticket");
    if (!channel_) return Result(-EBADF);
    const int source = info[0].As<Napi::Number>().Int32Value();
    const int64_t ticket = info[2].As<Napi::Number>().Int64Value();
    channel_->SendLater({source, head, {vectors + 1, vectors + count}, ticket});
    return Result(0);
  }

  // (unique: bigint): the request gets on.
  void Progress(const Napi::CallbackInfo& info) {
    if (!info[0].IsBigInt()) {
      Reject("expected a bigint: unique");
      return;
    }
    bool lossless = false;
    const uint64_t unique = info[0].As<Napi::BigInt>().Uint64Value(&lossless);
    if (channel_) channel_->Progress(unique);
  }

  // (node: number)
  void InvalidateAttributes(const Napi::CallbackInfo& info) {
    if (!info[0].IsNumber()) {
      Reject("expected a number: node");
      return;
    }
    const auto node = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
    if (channel_) channel_->InvalidateAttributes(node);
  }

  // (node: number): what was told of it is not true any more.
  void InodeChanged(const Napi::CallbackInfo& info) {
    if (AreNumbers(info, 1) && channel_) channel_->inodes().Changed(U64(info[0]));
  }

  // (prefixes: string[]): the beginnings of names of extended attributes that are answered.
  void OfferXattrs(const Napi::CallbackInfo& info) {
    if (!info[0].IsArray()) {
      Reject("expected an array: prefixes");
      return;
    }
    if (channel_) channel_->inodes().OfferXattrs(abfs::StringsOf(info[0].As<Napi::Array>()));
  }

  // (handle: number, message: Uint8Array, end: number, settled: Float64Array): the names of a
  // directory, as FirstNames has them; `settled` as for Send.
  void OfferNames(const Napi::CallbackInfo& info) {
    if (!info[0].IsNumber() || !abfs::IsUint8Array(info[1]) || !info[2].IsNumber()) {
      Reject("expected a number, a Uint8Array and a number: handle, message, end");
      return;
    }
    const Napi::Uint8Array message = info[1].As<Napi::Uint8Array>();
    abfs::FirstNames names{};
    names.message.assign(message.Data(), message.Data() + message.ByteLength());
    names.end = U64(info[2]);
    abfs::ReadSettled(info[3], &names.settled);
    if (names.message.size() < sizeof(fuse_out_header)) {
      Reject("expected a message that has a head");
      return;
    }
    if (channel_) channel_->OfferNames(U64(info[0]), std::move(names));
  }

  // (handle: number)
  void WithdrawNames(const Napi::CallbackInfo& info) {
    if (AreNumbers(info, 1) && channel_) channel_->WithdrawNames(U64(info[0]));
  }

  // (node: number): Promise<0|-errno>
  Napi::Value InvalidateContent(const Napi::CallbackInfo& info) {
    if (!info[0].IsNumber()) return Reject("expected a number: node");
    const auto node = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
    if (channel_) channel_->inodes().Changed(node);
    const auto device =
        std::make_shared<UniqueFd>(channel_ ? channel_->DuplicateDevice() : UniqueFd());
    return abfs::BlockingCall::Run(
        env_, [device, node] { return abfs::InvalidateContent(device->get(), node); });
  }

  // (handle, size: number): reads of `handle` are answered where pieces are.
  void AttachContent(const Napi::CallbackInfo& info) {
    if (!AreNumbers(info, 2)) return;
    if (channel_) channel_->hits().Attach(U64(info[0]), U64(info[1]));
  }

  // (handle, start, size, file: number, complete: boolean): 0 or -errno. `file` stays the caller's.
  Napi::Value AddPiece(const Napi::CallbackInfo& info) {
    if (!AreNumbers(info, 4)) return env_.Undefined();
    if (!info[4].IsBoolean()) return Reject("expected a boolean: complete");
    if (!channel_) return Result(-EBADF);
    UniqueFd file(::fcntl(static_cast<int>(U64(info[3])), F_DUPFD_CLOEXEC, 0));
    if (!file.valid()) return Result(-errno);
    const bool complete = info[4].As<Napi::Boolean>();
    const bool added = channel_->hits().AddPiece(U64(info[0]), U64(info[1]), U64(info[2]),
                                                 std::move(file), complete);
    return Result(added ? 0 : -ENOENT);
  }

  // (handle, start, size: number)
  void MarkPresent(const Napi::CallbackInfo& info) {
    if (!AreNumbers(info, 3)) return;
    if (channel_) channel_->hits().MarkPresent(U64(info[0]), U64(info[1]), U64(info[2]));
  }

  // (handle: number)
  void DetachContent(const Napi::CallbackInfo& info) {
    if (AreNumbers(info, 1) && channel_) channel_->hits().Detach(U64(info[0]));
  }

  // (file: number): a number from 1 on, or -errno. `file` stays the caller's.
  Napi::Value OpenBacking(const Napi::CallbackInfo& info) {
    if (!AreNumbers(info, 1)) return env_.Undefined();
    if (!channel_) return Result(-EBADF);
    return Result(channel_->OpenBacking(static_cast<int>(U64(info[0]))));
  }

  // (backing: number): 0 or -errno
  Napi::Value CloseBacking(const Napi::CallbackInfo& info) {
    if (!AreNumbers(info, 1)) return env_.Undefined();
    if (!channel_) return Result(-EBADF);
    return Result(channel_->CloseBacking(static_cast<int>(U64(info[0]))));
  }

  void Close(const Napi::CallbackInfo&) { Shutdown(); }

  // When the environment (the process's, a worker's) ends before Close.
  static void OnCleanup(void* self) { static_cast<NativeChannel*>(self)->Shutdown(); }

  // The order matters: no reader may run when the function that wakes JavaScript goes, nor when the
  // memory it reads into may be collected.
  void Shutdown() {
    device_.Reset();
    if (!channel_) return;
    channel_->Stop();
    channel_.reset();
    wake_.Release();
    napi_remove_env_cleanup_hook(env_, &NativeChannel::OnCleanup, this);
    Unref();
  }

  static void OnWake(Napi::Env env, Napi::Function, NativeChannel* self, std::nullptr_t*) {
    if (env != nullptr) self->Deliver();
  }

  void Deliver() {
    if (!channel_) return;
    const Napi::HandleScope scope(env_);
    channel_->Take(&batch_);
    if (!batch_.empty()) DeliverBatch();
    if (channel_) DeliverExpired();
    if (channel_) DeliverSent();
    int error = 0;
    // `onFrames` may have closed the channel.
    if (channel_ && channel_->Ended(&error) && !std::exchange(end_told_, true)) {
      // Frames that arrived between Take and the end come first.
      channel_->Take(&batch_);
      if (!batch_.empty()) DeliverBatch();
      on_end_.Call({Napi::Number::New(env_, error)});
    }
  }

  // After the frames: a request is known before its end is.
  void DeliverExpired() {
    channel_->TakeExpired(&expired_);
    for (const Expiry& expiry : expired_) {
      on_expired_.Call(
          {Napi::BigInt::New(env_, expiry.unique), Napi::Number::New(env_, expiry.error)});
    }
  }

  void DeliverSent() {
    channel_->TakeSent(&sent_);
    for (const abfs::SentReply& sent : sent_) {
      on_sent_.Call({Napi::Number::New(env_, static_cast<double>(sent.ticket)),
                     Napi::Number::New(env_, sent.result)});
    }
  }

  void DeliverBatch() {
    Napi::Int32Array frames = frames_.Value();
    size_t at = 0;
    for (const Frame& frame : batch_) {
      frames[at++] = frame.slot;
      frames[at++] = frame.length_bytes;
      frames[at++] = frame.source;
    }
    const size_t count = batch_.size();
    on_frames_.Call({Napi::Number::New(env_, static_cast<double>(count))});
    if (!channel_) return;
    for (size_t index = 0; index < count; ++index) channel_->Release(frames[index * 3]);
  }

  // The parts of a reply; throws and returns false when the arguments are none.
  bool PartsOf(const Napi::CallbackInfo& info, iovec* vectors, uint32_t* count,
               fuse_out_header* head) {
    if (!info[0].IsNumber() || !info[1].IsArray()) {
      Reject("expected a number and an array: source, parts");
      return false;
    }
    const Napi::Array parts = info[1].As<Napi::Array>();
    *count = parts.Length();
    for (uint32_t index = 0; index < std::min<uint32_t>(*count, kMaxParts); ++index) {
      const Napi::Value part = parts.Get(index);
      if (!part.IsTypedArray() ||
          part.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
        Reject("expected every part to be a Uint8Array");
        return false;
      }
      Napi::Uint8Array bytes = part.As<Napi::Uint8Array>();
      vectors[index] = iovec{bytes.Data(), bytes.ByteLength()};
    }
    if (*count == 0 || *count > kMaxParts || vectors[0].iov_len < sizeof *head) {
      Reject("expected up to 256 parts, the first of which holds the head");
      return false;
    }
    std::memcpy(head, vectors[0].iov_base, sizeof *head);
    return true;
  }

  // Throws when one of the first `count` arguments is no number.
  bool AreNumbers(const Napi::CallbackInfo& info, size_t count) {
    for (size_t index = 0; index < count; ++index) {
      if (info[index].IsNumber()) continue;
      Reject("expected numbers");
      return false;
    }
    return true;
  }

  static uint64_t U64(const Napi::Value& number) {
    return static_cast<uint64_t>(number.As<Napi::Number>().Int64Value());
  }

  Napi::Value Result(int value) { return Napi::Number::New(env_, value); }

  Napi::Value Reject(const char* message) {
    Napi::TypeError::New(env_, message).ThrowAsJavaScriptException();
    return env_.Undefined();
  }

  using Wake = Napi::TypedThreadSafeFunction<NativeChannel, std::nullptr_t, &NativeChannel::OnWake>;

  Napi::Env env_;
  UniqueFd device_;
  int slot_count_ = 0;
  size_t slot_bytes_ = 0;
  int reader_count_ = 0;
  int64_t deadline_ms_ = 0;
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
  std::vector<abfs::SentReply> sent_;
  std::vector<abfs::SettledInode> settled_;
  std::vector<abfs::ToldInode> told_;
  bool end_told_ = false;
};

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeChannel", NativeChannel::Define(env));
  abfs::DefineMounting(env, exports);
  abfs::DefineChecksums(env, exports);
  abfs::DefineGranules(env, exports);
  abfs::DefinePeers(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(abfs, Init)
