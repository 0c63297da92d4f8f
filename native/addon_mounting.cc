// The Node-API surface of mounting: checks arguments, converts, calls. All of it runs on the
// JavaScript thread but for what the comments name. Failures of the system are negative errnos.

#include "addon_mounting.h"

#include <string>

#include "blocking_call.h"
#include "mount_linux.h"
#include "unique_fd.h"

namespace abfs {

namespace {

Napi::Value Reject(Napi::Env env, const char* message) {
  Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

// (target, source: string, readOnly, allowOther: boolean, maxReadBytes: number): Promise<fd|-errno>
Napi::Value Mount(const Napi::CallbackInfo& info) {
  if (!info[0].IsString() || !info[1].IsString() || !info[2].IsBoolean() || !info[3].IsBoolean() ||
      !info[4].IsNumber()) {
    return Reject(info.Env(), "expected target, source, readOnly, allowOther, maxReadBytes");
  }
  abfs::MountOptions options;
  options.target = info[0].As<Napi::String>();
  options.source = info[1].As<Napi::String>();
  options.read_only = info[2].As<Napi::Boolean>();
  options.allow_other = info[3].As<Napi::Boolean>();
  options.max_read_bytes = info[4].As<Napi::Number>();
  return BlockingCall::Run(info.Env(), [options] { return abfs::MountFuse(options); });
}

// (target: string, lazy: boolean): Promise<0|-errno>
Napi::Value Unmount(const Napi::CallbackInfo& info) {
  if (!info[0].IsString() || !info[1].IsBoolean()) {
    return Reject(info.Env(), "expected target, lazy");
  }
  const std::string target = info[0].As<Napi::String>();
  const bool lazy = info[1].As<Napi::Boolean>();
  return BlockingCall::Run(info.Env(), [target, lazy] { return abfs::UnmountFuse(target, lazy); });
}

// (): [number, number] | -errno
Napi::Value SocketPair(const Napi::CallbackInfo& info) {
  int sockets[2];
  const int error = abfs::MakeSocketPair(sockets);
  if (error < 0) return Napi::Number::New(info.Env(), error);
  Napi::Array pair = Napi::Array::New(info.Env(), 2);
  for (uint32_t index = 0; index < 2; ++index) {
    pair.Set(index, Napi::Number::New(info.Env(), sockets[index]));
  }
  return pair;
}

// (socket: number): fd | -errno
Napi::Value TakeDescriptor(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) return Reject(info.Env(), "expected socket");
  const int socket = info[0].As<Napi::Number>().Int32Value();
  return Napi::Number::New(info.Env(), abfs::ReceiveDescriptor(socket));
}

// (socket, fd: number): 0 | -errno
Napi::Value GiveDescriptor(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber() || !info[1].IsNumber()) return Reject(info.Env(), "expected socket, fd");
  const int socket = info[0].As<Napi::Number>().Int32Value();
  const int descriptor = info[1].As<Napi::Number>().Int32Value();
  return Napi::Number::New(info.Env(), abfs::SendDescriptor(socket, descriptor));
}

// (fd: number)
void CloseDescriptor(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) {
    Reject(info.Env(), "expected fd");
    return;
  }
  const UniqueFd closed(info[0].As<Napi::Number>().Int32Value());
}

}  // namespace

void DefineMounting(Napi::Env env, Napi::Object exports) {
  exports.Set("mount", Napi::Function::New(env, Mount));
  exports.Set("unmount", Napi::Function::New(env, Unmount));
  exports.Set("socketPair", Napi::Function::New(env, SocketPair));
  exports.Set("receiveDescriptor", Napi::Function::New(env, TakeDescriptor));
  exports.Set("sendDescriptor", Napi::Function::New(env, GiveDescriptor));
  exports.Set("closeDescriptor", Napi::Function::New(env, CloseDescriptor));
}

}  // namespace abfs
