import ArgumentParser
import Foundation

/// Which server a command talks to, and as whom.
struct ServerOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The server's address. (default: FAIRDRAW_SERVER, or the host and port that are set, on this machine)",
      valueName: "url"))
  var server: String?

  @Option(
    help: ArgumentHelp(
      "The API key. FAIRDRAW_KEY in the environment is the better place: no other user of the machine can read it there. (default: none)",
      valueName: "key"))
  var key: String?

  /// - Throws: a usage error.
  func address() throws -> String {
    guard let given = Settings.text("server", server) else { return try StatusCommand.address() }
    guard let url = URL(string: given), ["http", "https"].contains(url.scheme), url.host != nil, url.query == nil else {
      throw ValidationError("--server must be an address such as https://draws.example.com.")
    }
    return given.hasSuffix("/") ? String(given.dropLast()) : given
  }

  @Option(help: ArgumentHelp("A file with the API key, or - for standard input.", valueName: "file"))
  var keyFile: String?

  /// Reads the key from its file, once: it may be a pipe.
  mutating func validate() throws {
    guard let file = keyFile ?? (apiKey == nil ? Settings.text("key-file", nil) : nil) else { return }
    guard key == nil else { throw ValidationError("Give either --key or --key-file.") }
    do throws(CommandFailure) {
      key = String(decoding: try InputFile.read(file), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
      keyFile = nil
    } catch {
      throw ValidationError("--key-file (FAIRDRAW_KEY_FILE): \(error).")
    }
  }

  var apiKey: String? { Settings.text("key", key) }

  /// Whether draws are a test key's.
  var isTest: Bool { apiKey?.hasPrefix("pk_test_") == true }

  func fetch() throws -> HTTPFetch {
    if let apiKey, apiKey.wholeMatch(of: /[!-~]{1,255}/) == nil {
      throw ValidationError("--key (FAIRDRAW_KEY) or what --key-file has must be visible ASCII characters.")
    }
    return HTTPFetch(base: try address(), failureStatus: Retries.exhausted, key: apiKey)
  }
}
