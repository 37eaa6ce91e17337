import Foundation
import Hummingbird
import NIOCore
import NIOPosix

// The yardstick: what Hummingbird reaches on this machine when a route has nothing to do. Same library, same
// executor, same body size as an anonymous `ints` draw; no middleware, no parameters, no storage.
//
// Usage: bare-route [PORT]   (default 0: a free port). Prints the port on standard output once it listens.

// The executor the server runs on, installed before the first task, or the comparison would be of executors.
if !NIOSingletons.unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor() {
  FileHandle.standardError.write(Data("bare-route: NIO's event loops could not become the global executor\n".utf8))
}

let arguments = CommandLine.arguments.dropFirst()
guard arguments.count <= 1, let port = UInt16(arguments.first ?? "0") else {
  FileHandle.standardError.write(Data("usage: bare-route [PORT]\n".utf8))
  exit(64)
}

let body = ByteBuffer(
  string: """
    {"outcome":[42],"shortId":"k7Qm2A9bXz","permalink":"http://127.0.0.1:8080/o/k7Qm2A9bXz",\
    "serverHash":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",\
    "clientSeed":"bench-123","cursor":0,"nonce":1234,"endpoint":"ints","min":1,"max":100,"count":1,\
    "created":1716566400000,"mode":"live"}
    """)

let router = Router()
router.get("/bare") { _, _ in
  Response(status: .ok, headers: [.contentType: "application/json"], body: ResponseBody(byteBuffer: body))
}

let application = Application(
  router: router,
  configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: Int(port))),
  onServerRunning: { channel in
    FileHandle.standardOutput.write(Data("\(channel.localAddress?.port ?? 0)\n".utf8))
  }
)
try await application.runService()
