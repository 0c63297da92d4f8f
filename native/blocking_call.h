#pragma once

#include <napi.h>

#include <functional>
#include <utility>

namespace abfs {

// Runs a blocking call on libuv's pool and resolves a promise with its result.
class BlockingCall : public Napi::AsyncWorker {
 public:
  static Napi::Value Run(Napi::Env env, std::function<int()> call) {
    // Deletes itself when it is done.
    auto* const worker = new BlockingCall(env, std::move(call));
    worker->Queue();
    return worker->deferred_.Promise();
  }

  // On a thread of the pool.
  void Execute() override { result_ = call_(); }

  void OnOK() override { deferred_.Resolve(Napi::Number::New(Env(), result_)); }

 private:
  BlockingCall(Napi::Env env, std::function<int()> call)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        call_(std::move(call)) {}

  Napi::Promise::Deferred deferred_;
  std::function<int()> call_;
  int result_ = 0;
};

}  // namespace abfs
