import ArgumentParser
import Fairness
import Transparency

/// Which witnesses a server asks to cosign its log, and how often.
struct WitnessOptions: ParsableArguments {
  @Option(
    name: .customLong("witness"), parsing: .singleValue,
    help: ArgumentHelp(
      "A witness that cosigns the log's checkpoints: its address and its key. May be given again. (default: none)",
      valueName: "url=vkey"))
  var witnesses: [String] = []

  @Option(
    name: .customLong("witness-interval"),
    help: ArgumentHelp(
      "The time from one request for cosignatures to the next, at least. (default: 5)", valueName: "seconds"))
  var seconds: Int?

  /// In the environment they are separated by spaces, which no key contains.
  func addresses() throws -> [WitnessAddress] {
    let given =
      witnesses.isEmpty
      ? (Settings.text("witness", nil) ?? "").split(separator: " ").map(String.init) : witnesses
    guard given.count <= LogWitnesses.most else {
      throw Self.refusal("may name at most \(LogWitnesses.most) witnesses")
    }
    var addresses: [WitnessAddress] = []
    for text in given {
      let address: WitnessAddress
      do { address = try WitnessAddress(text) } catch { throw Self.refusal("is not as it should be: \(error)") }
      // Those who verify tell witnesses apart by their keys.
      guard !addresses.contains(where: { $0.key.publicKey == address.key.publicKey }) else {
        throw Self.refusal("names the key \(address.key) twice")
      }
      addresses.append(address)
    }
    return addresses
  }

  func interval() throws -> Duration {
    .seconds(try Settings.integer("witness-interval", seconds, in: 1...3600) ?? 5)
  }

  private static func refusal(_ what: String) -> ValidationError {
    ValidationError("--witness (FAIRDRAW_WITNESS) \(what).")
  }
}
