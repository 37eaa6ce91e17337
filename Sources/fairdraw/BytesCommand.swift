import API
import ArgumentParser
import Fairness
import Foundation
import JSON
import Ledger

struct BytesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bytes", abstract: "Write random bytes, or many draws, for statistical tests.",
    discussion: """
      The bytes are those of successive draws: each nonce, from 0, gives the first \(drawSize) bytes of its stream at \
      cursor 0, as /api/bytes with count \(drawSize) returns them. With --generator, each nonce gives one draw, and each \
      draw is a line of JSON: the outcome as the API returns it.

      Without seeds, the command makes new ones and prints them on standard error. The same seeds give the same bytes. \
      The command uses no server, no database and no chain.

        fairdraw bytes --endless | dieharder -a -g 200
        fairdraw bytes --count 1000 --generator ints --parameters '{"count": 100, "min": 1, "max": 6}'
      """)

  /// How many bytes each nonce gives: the most that one draw may ask for.
  private static let drawSize = Int(Limits.byteCount.upperBound)
  /// About how many bytes are written at once.
  private static let blockSize = 1 << 20
  private static let numbers = 0...Int(Limits.safeIntegers.upperBound)

  @Option(help: ArgumentHelp("How many bytes; with --generator, how many draws.", valueName: "n"))
  var count: Int?

  @Flag(help: "Do not stop until the reader closes the pipe.")
  var endless = false

  @Option(
    help: ArgumentHelp(
      "The server seed, 64 lowercase hexadecimal digits. Goes with --client-seed. (default: a new one)",
      valueName: "hex"),
    transform: Self.readServerSeed)
  var serverSeed: ServerSeed?

  @Option(
    help: ArgumentHelp("The client seed. Goes with --server-seed. (default: a new one)", valueName: "text"),
    transform: Self.readClientSeed)
  var clientSeed: ClientSeed?

  @Option(help: ArgumentHelp("The nonce of the first draw.", valueName: "n"))
  var nonce: Int = 0

  @Option(
    help: ArgumentHelp(
      "Write draws of this generator instead of bytes: \(Endpoint.allCases.map(\.name).joined(separator: ", ")).",
      valueName: "name"),
    transform: Self.readGenerator)
  var generator: Endpoint?

  @Option(help: ArgumentHelp("The generator's parameters, a JSON object. (default: {})", valueName: "json"))
  var parameters: String?

  @Flag(help: "Write bytes even to a terminal.")
  var force = false

  func validate() throws {
    guard (count == nil) == endless else { throw ValidationError("Give either --count or --endless.") }
    for (name, number) in [("--count", count ?? 0), ("--nonce", nonce)] {
      guard Self.numbers.contains(number) else {
        throw ValidationError("\(name) must be from 0 to \(Self.numbers.upperBound).")
      }
    }
    guard (serverSeed == nil) == (clientSeed == nil) else {
      throw ValidationError("--server-seed and --client-seed go together.")
    }
    guard parameters == nil || generator != nil else { throw ValidationError("--parameters needs a --generator.") }
    _ = try request(clientSeed: nil)
  }

  func run() throws {
    guard generator != nil || force || isatty(STDOUT_FILENO) == 0 else {
      throw CommandFailure("the bytes are not text: send them to a program or a file, or add --force")
    }
    let serverSeed = try serverSeed ?? ServerSeed(bytes: RandomSource.system.bytes(32))
    let clientSeed = try clientSeed ?? ClientSeed("bytes-\(UInt64.random(in: .min ... .max))")
    if self.serverSeed == nil {
      print("Seeds: --server-seed \(serverSeed.description) --client-seed \(clientSeed)", to: &Terminal.error)
    }
    let key = StreamKey(serverSeed)
    let request = try request(clientSeed: clientSeed)
    var left = count ?? .max
    var nonce = Int64(nonce)
    var block: [UInt8] = []
    while left > 0 {
      while left > 0, block.count < Self.blockSize {
        if let request {
          block += request.run(key: key, cursor: 0, nonce: nonce).value
          block.append(UInt8(ascii: "\n"))
          left -= 1
        } else {
          var stream = ByteStream(key: key, clientSeed: clientSeed, cursor: 0, nonce: UInt64(nonce))
          let size = min(left, Self.drawSize)
          block += stream.bytes(count: size)
          left -= size
        }
        nonce += 1
      }
      guard try StandardOutput.writeIfRead(block) else { return }
      block.removeAll(keepingCapacity: true)
    }
  }

  /// The draw that each nonce gives; nil for plain bytes.
  private func request(clientSeed: ClientSeed?) throws -> DrawRequest? {
    guard let generator else { return nil }
    do {
      let json = try JSONText(Array((parameters ?? "{}").utf8)).root
      let parameters = try Parameters(json: json, what: "--parameters")
      guard try parameters.text("clientSeed") == nil else {
        throw ValidationError("--client-seed sets the client seed.")
      }
      let request = try DrawRequest(endpoint: generator, parameters: parameters)
      return DrawRequest(
        clientSeed: clientSeed ?? request.clientSeed, generator: request.generator, items: request.items)
    } catch let error as JSONSyntaxError {
      throw ValidationError("--parameters is not JSON: \(error.reason), at byte \(error.offset).")
    } catch let refusal as Refusal {
      throw ValidationError("--parameters: \(refusal.error).")
    }
  }

  private static func readServerSeed(_ text: String) throws -> ServerSeed {
    do { return try ServerSeed(hex: text.utf8) } catch { throw ValidationError("\(error)") }
  }

  private static func readClientSeed(_ text: String) throws -> ClientSeed {
    do { return try ClientSeed(text) } catch { throw ValidationError("it \(error.reason)") }
  }

  private static func readGenerator(_ name: String) throws -> Endpoint {
    do { return try Endpoint(parameter: Array(name.utf8)) } catch { throw ValidationError("it \(error.reason)") }
  }
}
