// The Node-API surface of checksums: checks arguments, converts, calls.

#include "addon_checksums.h"

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

}  // namespace

void DefineChecksums(Napi::Env env, Napi::Object exports) {
  exports.Set("crc64", Napi::Function::New(env, Crc64Of));
  exports.Set("crc64Async", Napi::Function::New(env, Crc64Async));
}

}  // namespace abfs
