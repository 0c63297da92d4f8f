// The Node-API surface of the disk cache's files: checks arguments, converts, calls. Each call is
// one task of libuv's pool, however many system calls it takes.

#include "addon_granules.h"

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "blocking_call.h"
#include "granule_files.h"

namespace abfs {

namespace {

// Resolves to { named, sums }, or -errno. The array, where there is one, is pinned until then.
class GranulesWorker : public Napi::AsyncWorker {
 public:
  using Call = std::function<int(std::vector<uint32_t>*)>;

  static Napi::Value Run(Napi::Env env, Napi::Uint8Array pinned, Call call) {
    // Deletes itself when it is done.
    auto* const worker = new GranulesWorker(env, pinned, std::move(call));
    const Napi::Promise promise = worker->deferred_.Promise();
    worker->Queue();
    return promise;
  }

  // On a thread of the pool.
  void Execute() override { result_ = call_(&sums_); }

  void OnOK() override {
    if (result_ < 0) return deferred_.Resolve(Napi::Number::New(Env(), result_));
    Napi::Uint32Array sums = Napi::Uint32Array::New(Env(), sums_.size());
    std::copy(sums_.begin(), sums_.end(), sums.Data());
    Napi::Object answer = Napi::Object::New(Env());
    answer.Set("named", Napi::Boolean::New(Env(), result_ == kNamed));
    answer.Set("sums", sums);
    deferred_.Resolve(answer);
  }

 private:
  GranulesWorker(Napi::Env env, Napi::Uint8Array pinned, Call call)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        call_(std::move(call)) {
    if (!pinned.IsEmpty()) pinned_ = Napi::Persistent(pinned);
  }

  Napi::Promise::Deferred deferred_;
  Napi::Reference<Napi::Uint8Array> pinned_;
  Call call_;
  std::vector<uint32_t> sums_;
  int result_ = 0;
};

// Resolves to { data, sums, identity }, or -errno.
class OpenWorker : public Napi::AsyncWorker {
 public:
  OpenWorker(Napi::Env env, std::string place, bool create)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        place_(std::move(place)),
        create_(create) {}

  Napi::Promise Promise() const { return deferred_.Promise(); }

  // On a thread of the pool.
  void Execute() override { result_ = OpenGranules(place_, create_, &files_, &identity_); }

  void OnOK() override {
    if (result_ < 0) return deferred_.Resolve(Napi::Number::New(Env(), result_));
    Napi::Object answer = Napi::Object::New(Env());
    answer.Set("data", Napi::Number::New(Env(), files_.data));
    answer.Set("sums", Napi::Number::New(Env(), files_.sums));
    answer.Set("identity", Napi::String::New(Env(), identity_));
    deferred_.Resolve(answer);
  }

 private:
  Napi::Promise::Deferred deferred_;
  const std::string place_;
  const bool create_;
  GranuleFiles files_{};
  std::string identity_;
  int result_ = 0;
};

struct Arguments {
  bool right = false;
  GranuleFiles files{};
  uint64_t first = 0;
};

// (data: fd, sums: fd, first: number, …)
Arguments ReadArguments(const Napi::CallbackInfo& info, bool rest_is_right) {
  const bool numbers = info[0].IsNumber() && info[1].IsNumber() && info[2].IsNumber();
  const int64_t first = numbers ? info[2].As<Napi::Number>().Int64Value() : -1;
  if (first < 0 || !rest_is_right) {
    Napi::TypeError::New(info.Env(), "expected data, sums, first, and bytes or a count")
        .ThrowAsJavaScriptException();
    return {};
  }
  return {
      true, {info[0].As<Napi::Number>(), info[1].As<Napi::Number>()}, static_cast<uint64_t>(first)};
}

// (data: fd, sums: fd, first: number, bytes: Uint8Array)
Napi::Value WriteThem(const Napi::CallbackInfo& info) {
  const Arguments at = ReadArguments(info, info[3].IsTypedArray());
  if (!at.right) return info.Env().Undefined();
  const auto bytes = info[3].As<Napi::Uint8Array>();
  const uint8_t* const data = bytes.Data();
  const size_t length = bytes.ByteLength();
  return GranulesWorker::Run(info.Env(), bytes, [=](std::vector<uint32_t>* sums) {
    return WriteGranules(at.files, at.first, data, length, sums);
  });
}

// (data: fd, sums: fd, first: number, into: Uint8Array)
Napi::Value ReadThem(const Napi::CallbackInfo& info) {
  const Arguments at = ReadArguments(info, info[3].IsTypedArray());
  if (!at.right) return info.Env().Undefined();
  auto into = info[3].As<Napi::Uint8Array>();
  uint8_t* const data = into.Data();
  const size_t length = into.ByteLength();
  return GranulesWorker::Run(info.Env(), into, [=](std::vector<uint32_t>* sums) {
    return ReadGranules(at.files, at.first, data, length, sums);
  });
}

// (data: fd, sums: fd, first: number, count: number)
Napi::Value ReadTheirSums(const Napi::CallbackInfo& info) {
  const int64_t count = info[3].IsNumber() ? info[3].As<Napi::Number>().Int64Value() : -1;
  const Arguments at = ReadArguments(info, count >= 0);
  if (!at.right) return info.Env().Undefined();
  return GranulesWorker::Run(info.Env(), {}, [=](std::vector<uint32_t>* words) {
    return ReadSums(at.files, at.first, static_cast<size_t>(count), words);
  });
}

// (name: string, sumsAt: number, first: number, bytes: Uint8Array)
bool IsSmall(const Napi::CallbackInfo& info) {
  if (info[0].IsString() && info[1].IsNumber() && info[2].IsNumber() && info[3].IsTypedArray()) {
    return true;
  }
  Napi::TypeError::New(info.Env(), "expected name, sumsAt, first and bytes")
      .ThrowAsJavaScriptException();
  return false;
}

uint64_t Unsigned(const Napi::Value& value) {
  return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value());
}

// As IsSmall says.
Napi::Value WriteSmallOne(const Napi::CallbackInfo& info) {
  if (!IsSmall(info)) return info.Env().Undefined();
  const SmallFile file{info[0].As<Napi::String>(), Unsigned(info[1])};
  const auto bytes = info[3].As<Napi::Uint8Array>();
  const uint8_t* const data = bytes.Data();
  const size_t length = bytes.ByteLength();
  const uint64_t first = Unsigned(info[2]);
  return GranulesWorker::Run(info.Env(), bytes, [=](std::vector<uint32_t>*) {
    const int error = WriteSmall(file, first, data, length);
    return error < 0 ? error : kNamed;
  });
}

// As IsSmall says, and (usedAtMs: number), negative where that is not to be noted
Napi::Value ReadSmallOne(const Napi::CallbackInfo& info) {
  if (!IsSmall(info)) return info.Env().Undefined();
  const SmallFile file{info[0].As<Napi::String>(), Unsigned(info[1])};
  auto into = info[3].As<Napi::Uint8Array>();
  uint8_t* const data = into.Data();
  const size_t length = into.ByteLength();
  const uint64_t first = Unsigned(info[2]);
  const int64_t used_at_ms = info[4].IsNumber() ? info[4].As<Napi::Number>().Int64Value() : -1;
  return GranulesWorker::Run(info.Env(), into, [=](std::vector<uint32_t>* words) {
    return ReadSmall(file, first, data, length, used_at_ms, words);
  });
}

// (place: string, create: boolean)
Napi::Value OpenThem(const Napi::CallbackInfo& info) {
  if (!info[0].IsString() || !info[1].IsBoolean()) {
    Napi::TypeError::New(info.Env(), "expected place, create").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  // Deletes itself when it is done.
  auto* const worker =
      new OpenWorker(info.Env(), info[0].As<Napi::String>(), info[1].As<Napi::Boolean>());
  worker->Queue();
  return worker->Promise();
}

// (data: fd, sums: fd)
Napi::Value CloseThem(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber() || !info[1].IsNumber()) {
    Napi::TypeError::New(info.Env(), "expected data, sums").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  const int data = info[0].As<Napi::Number>();
  const int sums = info[1].As<Napi::Number>();
  return BlockingCall::Run(info.Env(), [data, sums]() {
    ::close(data);
    ::close(sums);
    return 0;
  });
}

// (data: fd): the identity, or -errno
Napi::Value IdentityOfOne(const Napi::CallbackInfo& info) {
  std::string identity;
  const int error = info[0].IsNumber() ? IdentityOf(info[0].As<Napi::Number>(), &identity) : -EBADF;
  if (error < 0) return Napi::Number::New(info.Env(), error);
  return Napi::String::New(info.Env(), identity);
}

}  // namespace

void DefineGranules(Napi::Env env, Napi::Object exports) {
  exports.Set("openGranules", Napi::Function::New(env, OpenThem));
  exports.Set("closeGranules", Napi::Function::New(env, CloseThem));
  exports.Set("granulesIdentity", Napi::Function::New(env, IdentityOfOne));
  exports.Set("writeGranules", Napi::Function::New(env, WriteThem));
  exports.Set("readGranules", Napi::Function::New(env, ReadThem));
  exports.Set("writeSmall", Napi::Function::New(env, WriteSmallOne));
  exports.Set("readSmall", Napi::Function::New(env, ReadSmallOne));
  exports.Set("readSums", Napi::Function::New(env, ReadTheirSums));
}

}  // namespace abfs
