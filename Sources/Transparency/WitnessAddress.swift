import Fairness
import Foundation

/// A witness that a log asks for cosignatures: where it is, and its key.
public struct WitnessAddress: Sendable, Equatable {
  /// Where its requests go: what it was given, with `/add-checkpoint`.
  public let submission: String
  public let key: LogVerifierKey

  public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    case malformed
    case invalidURL(String)
    case invalidKey(LogVerifierKey.Failure)
    /// The key is a log's.
    case wrongAlgorithm

    public var description: String {
      switch self {
      case .malformed: "a witness is written URL=VKEY"
      case .invalidURL(let text):
        "a witness's URL is like https://witness.example.com, without a query, not \"\(text)\""
      case .invalidKey(let failure): failure.description
      case .wrongAlgorithm: "a witness's key is of algorithm 4 (cosignatures), not 1"
      }
    }
  }

  /// - Parameter text: `URL=VKEY`.
  public init(_ text: String) throws(Failure) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else { throw .malformed }
    let url = String(parts[0])
    guard let components = URLComponents(string: url), ["http", "https"].contains(components.scheme),
      components.host?.isEmpty == false, components.query == nil, components.fragment == nil, components.user == nil
    else { throw .invalidURL(url) }
    do { key = try LogVerifierKey(String(parts[1])) } catch { throw .invalidKey(error) }
    guard key.algorithm == .cosignature else { throw .wrongAlgorithm }
    submission = (url.hasSuffix("/") ? String(url.dropLast()) : url) + "/add-checkpoint"
  }
}
