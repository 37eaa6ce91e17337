import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Why an attempt failed before there was an answer, for the one who reads the attempts.
package struct DeliveryFailure: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }

  /// A sentence for whatever a library threw on the way to `host`. The libraries' own texts name their types and source
  /// files, which says nothing to a receiver's owner.
  package init(_ error: any Error, host: String) {
    self.init(Self.sentence(for: error, host: host))
  }

  private static func sentence(for error: any Error, host: String) -> String {
    switch error {
    case let error as DeliveryFailure: return error.description
    case let error as HTTPClientError: return sentence(for: error)
    case let error as IOError: return sentence(forErrno: error.errnoCode)
    case let error as NIOConnectionError:
      return error.connectionErrors.first.map { sentence(for: $0.error, host: host) }
        ?? "the connection could not be made"
    case let error as ChannelError:
      if case .connectTimeout = error { return noConnection }
      return closed
    case let error as NIOSSLError: return sentence(for: error)
    case let error as BoringSSLError: return sentence(for: error)
    case let error as NIOSSLExtraError:
      let isOfAnother = [.failedToValidateHostname, .serverHostnameImpossibleToMatch].contains(error)
      return isOfAnother ? "the certificate is not for \(host)" : "the TLS connection could not be made"
    case HTTPParserError.invalidEOFState: return closed
    case is HTTPParserError: return "the response is not valid HTTP"
    default: return "the request could not be sent"
    }
  }

  private static let closed = "the connection was closed before there was a response"
  private static let noConnection = "the connection could not be made in time"

  private static func sentence(for error: HTTPClientError) -> String {
    switch error {
    case .deadlineExceeded, .readTimeout, .writeTimeout, .getConnectionFromPoolTimeout:
      "there was no response within \(DeliveryClient.timeout.components.seconds) seconds"
    case .connectTimeout: noConnection
    case .tlsHandshakeTimeout: "the TLS connection could not be made in time"
    case .remoteConnectionClosed, .uncleanShutdown: closed
    case .cancelled, .requestStreamCancelled, .alreadyShutdown:
      "the attempt was cancelled because the server is shutting down"
    default: "the response is not valid HTTP"
    }
  }

  private static func sentence(forErrno code: CInt) -> String {
    switch code {
    case ECONNREFUSED: "the connection was refused"
    case ECONNRESET, EPIPE: closed
    case ETIMEDOUT: noConnection
    case EHOSTUNREACH, ENETUNREACH: "the address cannot be reached"
    default: "the connection failed: \(String(cString: strerror(code)))"
    }
  }

  private static func sentence(for error: NIOSSLError) -> String {
    switch error {
    case .handshakeFailed(let cause): sentence(for: cause)
    case .uncleanShutdown, .shutdownFailed: closed
    case .noCertificateToValidate, .unableToValidateCertificate, .cannotFindPeerIP: untrusted
    default: "the TLS connection could not be made"
    }
  }

  private static let untrusted = "this server does not trust the certificate"

  /// The library tells what happened only in the text of its error stack, by the names that OpenSSL gave them.
  private static func sentence(for error: BoringSSLError) -> String {
    if error == .sslError([.eofDuringHandshake]) { return closed }
    let text = "\(error)"
    let known = [
      ("CERTIFICATE_VERIFY_FAILED", untrusted), ("WRONG_VERSION_NUMBER", "the receiver does not speak TLS"),
      ("HTTP_REQUEST", "the receiver does not speak TLS"),
      ("ALERT", "the receiver aborted the TLS handshake"),
      ("PROTOCOL", "the receiver has no TLS version in common with this server"),
    ]
    return known.first { text.contains($0.0) }?.1 ?? "the TLS handshake failed"
  }
}
