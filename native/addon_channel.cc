// The Node-API surface of a channel: requests in, replies out. All of it runs on the JavaScript
// thread but for what the comments name.

#include "addon_channel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "addon_arguments.h"

namespace abfs {

namespace {

constexpr size_t kMaxParts = 256;

}  // namespace

Napi::Function NativeChannel::Define(Napi::Env env) {
  return DefineClass(env, "NativeChannel",
                     {InstanceAccessor<&NativeChannel::Pool>("pool"),
                      InstanceAccessor<&NativeChannel::Frames>("frames"),
                      InstanceMethod<&NativeChannel::Receive>("receive"),
                      InstanceMethod<&NativeChannel::Release>("release"),
                      InstanceMethod<&NativeChannel::Send>("send"),
                      InstanceMethod<&NativeChannel::SendLater>("sendLater"),
                      InstanceMethod<&NativeChannel::Progress>("progress"),
                      InstanceMethod<&NativeChannel::InvalidateAttributes>("invalidateAttributes"),
                      InstanceMethod<&NativeChannel::ExpireName>("expireName"),
                      InstanceMethod<&NativeChannel::InodeChanged>("inodeChanged"),
                      InstanceMethod<&NativeChannel::NamesKnown>("namesKnown"),
                      InstanceMethod<&NativeChannel::NamesChanged>("namesChanged"),
                      InstanceMethod<&NativeChannel::HandleIdle>("handleIdle"),
                      InstanceMethod<&NativeChannel::OfferXattrs>("offerXattrs"),
                      InstanceMethod<&NativeChannel::OfferNames>("offerNames"),
                      InstanceMethod<&NativeChannel::WithdrawNames>("withdrawNames"),
                      InstanceMethod<&NativeChannel::InvalidateContent>("invalidateContent"),
                      InstanceMethod<&NativeChannel::InvalidateSize>("invalidateSize"),
                      InstanceMethod<&NativeChannel::AttachContent>("attachContent"),
                      InstanceMethod<&NativeChannel::AddPiece>("addPiece"),
                      InstanceMethod<&NativeChannel::MarkPresent>("markPresent"),
                      InstanceMethod<&NativeChannel::DetachContent>("detachContent"),
                      InstanceMethod<&NativeChannel::OpenBacking>("openBacking"),
                      InstanceMethod<&NativeChannel::CloseBacking>("closeBacking"),
                      InstanceMethod<&NativeChannel::Close>("close")});
}

NativeChannel::NativeChannel(const Napi::CallbackInfo& info)
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
  own_queues_ = !info[5].IsBoolean() || info[5].As<Napi::Boolean>();
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

Napi::Value NativeChannel::Receive(const Napi::CallbackInfo& info) {
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
  options.own_queues = own_queues_;
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

void NativeChannel::Release(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) {
    Reject("expected a number: slot");
    return;
  }
  if (channel_) channel_->Release(info[0].As<Napi::Number>().Int32Value());
}

Napi::Value NativeChannel::Send(const Napi::CallbackInfo& info) {
  iovec vectors[kMaxParts];
  uint32_t count = 0;
  fuse_out_header head{};
  if (!PartsOf(info, vectors, &count, &head)) return env_.Undefined();
  if (!channel_) return Result(-EBADF);
  const int source = info[0].As<Napi::Number>().Int32Value();
  ReadSettled(info[2], &settled_);
  ReadTold(info[3], &told_);
  const int parts = static_cast<int>(count);
  return Result(channel_->Send(source, head.unique, vectors, parts, settled_, told_));
}

Napi::Value NativeChannel::SendLater(const Napi::CallbackInfo& info) {
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

void NativeChannel::Progress(const Napi::CallbackInfo& info) {
  if (!info[0].IsBigInt()) {
    Reject("expected a bigint: unique");
    return;
  }
  bool lossless = false;
  const uint64_t unique = info[0].As<Napi::BigInt>().Uint64Value(&lossless);
  if (channel_) channel_->Progress(unique);
}

void NativeChannel::Shutdown() {
  device_.Reset();
  if (!channel_) return;
  channel_->Stop();
  channel_.reset();
  wake_.Release();
  napi_remove_env_cleanup_hook(env_, &NativeChannel::OnCleanup, this);
  Unref();
}

void NativeChannel::Deliver() {
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

void NativeChannel::DeliverExpired() {
  channel_->TakeExpired(&expired_);
  for (const Expiry& expiry : expired_) {
    on_expired_.Call(
        {Napi::BigInt::New(env_, expiry.unique), Napi::Number::New(env_, expiry.error)});
  }
}

void NativeChannel::DeliverSent() {
  channel_->TakeSent(&sent_);
  for (const SentReply& sent : sent_) {
    on_sent_.Call({Napi::Number::New(env_, static_cast<double>(sent.ticket)),
                   Napi::Number::New(env_, sent.result)});
  }
}

void NativeChannel::DeliverBatch() {
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

bool NativeChannel::PartsOf(const Napi::CallbackInfo& info, iovec* vectors, uint32_t* count,
                            fuse_out_header* head) {
  if (!info[0].IsNumber() || !info[1].IsArray()) {
    Reject("expected a number and an array: source, parts");
    return false;
  }
  const Napi::Array parts = info[1].As<Napi::Array>();
  *count = parts.Length();
  for (uint32_t index = 0; index < std::min<uint32_t>(*count, kMaxParts); ++index) {
    const Napi::Value part = parts.Get(index);
    if (!part.IsTypedArray() || part.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
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

bool NativeChannel::AreNumbers(const Napi::CallbackInfo& info, size_t count) {
  for (size_t index = 0; index < count; ++index) {
    if (info[index].IsNumber()) continue;
    Reject("expected numbers");
    return false;
  }
  return true;
}

Napi::Value NativeChannel::Reject(const char* message) {
  Napi::TypeError::New(env_, message).ThrowAsJavaScriptException();
  return env_.Undefined();
}

}  // namespace abfs
