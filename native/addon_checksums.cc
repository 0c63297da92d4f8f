// The Node-API surface of checksums: checks arguments, converts, calls.

#include "addon_checksums.h"

#include <algorithm>
#include <vector>

#include "crc32.h"
#include "crc64.h"

namespace abfs {

namespace {

Napi::Value Reject(Napi::Env env, const char* message) {
  Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

// (data: Uint8Array, before: bigint): bigint
Napi::Value Crc64Of(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray() || !info[1].IsBigInt()) {
    return Reject(info.Env(), "expected data, before");
  }
  const auto data = info[0].As<Napi::Uint8Array>();
  bool lossless = false;
  const uint64_t before = info[1].As<Napi::BigInt>().Uint64Value(&lossless);
  return Napi::BigInt::New(info.Env(), abfs::Crc64(before, data.Data(), data.ByteLength()));
}

// Adds up on a thread of the pool; the array is pinned until it is done.
class Crc64Worker : public Napi::AsyncWorker {
 public:
  Crc64Worker(Napi::Env env, Napi::Uint8Array data)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        pinned_(Napi::Persistent(data)),
        data_(data.Data()),
        length_(data.ByteLength()) {}

  Napi::Promise Promise() { return deferred_.Promise(); }

  // On a thread of the pool.
  void Execute() override { crc_ = abfs::Crc64(0, data_, length_); }

  void OnOK() override { deferred_.Resolve(Napi::BigInt::New(Env(), crc_)); }

 private:
  Napi::Promise::Deferred deferred_;
  Napi::Reference<Napi::Uint8Array> pinned_;
  const uint8_t* data_;
  size_t length_;
  uint64_t crc_ = 0;
};

// (data: Uint8Array): Promise<bigint>
Napi::Value Crc64Async(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray()) return Reject(info.Env(), "expected data");
  auto* worker = new Crc64Worker(info.Env(), info[0].As<Napi::Uint8Array>());
  const Napi::Promise promise = worker->Promise();
  worker->Queue();
  return promise;
}

// Adds up each part on a thread of the pool; the array is pinned until it is done.
class Crc32Worker : public Napi::AsyncWorker {
 public:
  Crc32Worker(Napi::Env env, Napi::Uint8Array data, size_t part_length)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        pinned_(Napi::Persistent(data)),
        data_(data.Data()),
        length_(data.ByteLength()),
        part_length_(part_length) {}

  Napi::Promise Promise() { return deferred_.Promise(); }

  // On a thread of the pool.
  void Execute() override {
    for (size_t at = 0; at < length_; at += part_length_) {
      sums_.push_back(abfs::Crc32(data_ + at, std::min(part_length_, length_ - at)));
    }
  }

  void OnOK() override {
    Napi::Uint32Array sums = Napi::Uint32Array::New(Env(), sums_.size());
    std::copy(sums_.begin(), sums_.end(), sums.Data());
    deferred_.Resolve(sums);
  }

 private:
  Napi::Promise::Deferred deferred_;
  Napi::Reference<Napi::Uint8Array> pinned_;
  const uint8_t* data_;
  size_t length_;
  size_t part_length_;
  std::vector<uint32_t> sums_;
};

// (data: Uint8Array, partBytes: number): Promise<Uint32Array>, a CRC-32 for each part.
Napi::Value Crc32Parts(const Napi::CallbackInfo& info) {
  const bool right = info[0].IsTypedArray() && info[1].IsNumber();
  const int64_t part_length = right ? info[1].As<Napi::Number>().Int64Value() : 0;
  if (part_length < 1) return Reject(info.Env(), "expected data, partBytes");
  auto* worker =
      new Crc32Worker(info.Env(), info[0].As<Napi::Uint8Array>(), static_cast<size_t>(part_length));
  const Napi::Promise promise = worker->Promise();
  worker->Queue();
  return promise;
}

}  // namespace

void DefineChecksums(Napi::Env env, Napi::Object exports) {
  exports.Set("crc32Parts", Napi::Function::New(env, Crc32Parts));
  exports.Set("crc64", Napi::Function::New(env, Crc64Of));
  exports.Set("crc64Async", Napi::Function::New(env, Crc64Async));
}

}  // namespace abfs
