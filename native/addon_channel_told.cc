// The Node-API surface of what a channel answers without JavaScript: what it is told of inodes,
// names and files of the local disk. All of it runs on the JavaScript thread.

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon_arguments.h"
#include "addon_channel.h"
#include "blocking_call.h"

namespace abfs {

namespace {

// As good as for ever, and no overflow.
constexpr double kLongestNs = 1e18;

}  // namespace

void NativeChannel::InvalidateAttributes(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) {
    Reject("expected a number: node");
    return;
  }
  const auto node = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  if (channel_) channel_->InvalidateAttributes(node);
}

void NativeChannel::ExpireName(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber() || !info[1].IsString()) {
    Reject("expected a number and a string: directory, name");
    return;
  }
  if (channel_) channel_->ExpireName(U64(info[0]), info[1].As<Napi::String>().Utf8Value());
}

void NativeChannel::InodeChanged(const Napi::CallbackInfo& info) {
  if (AreNumbers(info, 1) && channel_) channel_->inodes().Changed(U64(info[0]));
}

void NativeChannel::NamesKnown(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber() || !info[1].IsArray() || !info[2].IsNumber()) {
    Reject("expected a number, an array and a number: directory, names, holdsMs");
    return;
  }
  std::vector<uint64_t> hashes;
  for (const std::string& name : StringsOf(info[1].As<Napi::Array>())) {
    hashes.push_back(NameHits::HashOf(name));
  }
  const double holds_ns = info[2].As<Napi::Number>().DoubleValue() * 1e6;
  const int64_t until_ns = NowNs() + static_cast<int64_t>(std::clamp(holds_ns, 0.0, kLongestNs));
  if (channel_) channel_->names().Learn(U64(info[0]), std::move(hashes), until_ns);
}

void NativeChannel::NamesChanged(const Napi::CallbackInfo& info) {
  if (AreNumbers(info, 1) && channel_) channel_->names().Forget(U64(info[0]));
}

void NativeChannel::HandleIdle(const Napi::CallbackInfo& info) {
  if (AreNumbers(info, 1) && channel_) channel_->HandleIdle(U64(info[0]));
}

void NativeChannel::OfferXattrs(const Napi::CallbackInfo& info) {
  if (!info[0].IsArray()) {
    Reject("expected an array: prefixes");
    return;
  }
  if (channel_) channel_->inodes().OfferXattrs(StringsOf(info[0].As<Napi::Array>()));
}

void NativeChannel::OfferNames(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber() || !IsUint8Array(info[1]) || !info[2].IsNumber()) {
    Reject("expected a number, a Uint8Array and a number: handle, message, end");
    return;
  }
  const Napi::Uint8Array message = info[1].As<Napi::Uint8Array>();
  FirstNames names{};
  names.message.assign(message.Data(), message.Data() + message.ByteLength());
  names.end = U64(info[2]);
  ReadSettled(info[3], &names.settled);
  if (names.message.size() < sizeof(fuse_out_header)) {
    Reject("expected a message that has a head");
    return;
  }
  if (channel_) channel_->OfferNames(U64(info[0]), std::move(names));
}

void NativeChannel::WithdrawNames(const Napi::CallbackInfo& info) {
  if (AreNumbers(info, 1) && channel_) channel_->WithdrawNames(U64(info[0]));
}

Napi::Value NativeChannel::InvalidateContent(const Napi::CallbackInfo& info) {
  return Invalidate(info, &abfs::InvalidateContent);
}

Napi::Value NativeChannel::InvalidateSize(const Napi::CallbackInfo& info) {
  return Invalidate(info, &abfs::InvalidateSize);
}

Napi::Value NativeChannel::Invalidate(const Napi::CallbackInfo& info,
                                      int (*invalidate)(int, uint64_t)) {
  if (!info[0].IsNumber()) return Reject("expected a number: node");
  const auto node = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  if (channel_) channel_->inodes().Changed(node);
  const auto device =
      std::make_shared<UniqueFd>(channel_ ? channel_->DuplicateDevice() : UniqueFd());
  return BlockingCall::Run(env_,
                           [device, node, invalidate] { return invalidate(device->get(), node); });
}

void NativeChannel::AttachContent(const Napi::CallbackInfo& info) {
  if (!AreNumbers(info, 2)) return;
  if (channel_) channel_->hits().Attach(U64(info[0]), U64(info[1]));
}

Napi::Value NativeChannel::AddPiece(const Napi::CallbackInfo& info) {
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

void NativeChannel::MarkPresent(const Napi::CallbackInfo& info) {
  if (!AreNumbers(info, 3)) return;
  if (channel_) channel_->hits().MarkPresent(U64(info[0]), U64(info[1]), U64(info[2]));
}

void NativeChannel::DetachContent(const Napi::CallbackInfo& info) {
  if (AreNumbers(info, 1) && channel_) channel_->hits().Detach(U64(info[0]));
}

Napi::Value NativeChannel::OpenBacking(const Napi::CallbackInfo& info) {
  if (!AreNumbers(info, 1)) return env_.Undefined();
  if (!channel_) return Result(-EBADF);
  return Result(channel_->OpenBacking(static_cast<int>(U64(info[0]))));
}

Napi::Value NativeChannel::CloseBacking(const Napi::CallbackInfo& info) {
  if (!AreNumbers(info, 1)) return env_.Undefined();
  if (!channel_) return Result(-EBADF);
  return Result(channel_->CloseBacking(static_cast<int>(U64(info[0]))));
}

}  // namespace abfs
