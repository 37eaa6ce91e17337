import CCurl
import Foundation

/// Why there is no response, or not all of it, in a sentence. libcurl's own texts say little to a receiver's owner.
package struct HTTPFailure: Error, Equatable, CustomStringConvertible {
  package let description: String
  private init(_ description: String) { self.description = description }

  package static let timedOut = HTTPFailure("there was no response in time")
  package static let closed = HTTPFailure("the connection was closed before there was a response")
  package static let notHTTP = HTTPFailure("the response is not valid HTTP")
  package static let notSent = HTTPFailure("the request could not be sent")
  package static let shutDown = HTTPFailure("the attempt was cancelled because the server is shutting down")
  package static let tooMany = HTTPFailure("too many requests are under way")
  package static func tooLong(_ most: Int) -> HTTPFailure { HTTPFailure("the response is longer than \(most) bytes") }

  private static let noConnection = "the connection could not be made in time"
  private static let untrusted = "this server does not trust the certificate"

  /// - Parameters:
  ///   - text: what libcurl says about it.
  ///   - errno: of the system call that failed last.
  ///   - hasConnected: whether there was a connection, though TLS may have been missing.
  ///   - hasBegun: whether the request could be sent.
  init(_ code: CURLcode, text: String, errno: CInt, host: String, hasConnected: Bool, hasBegun: Bool) {
    switch code {
    case CURLE_OPERATION_TIMEDOUT where hasBegun: self = .timedOut
    case CURLE_OPERATION_TIMEDOUT where hasConnected: self.init("the TLS connection could not be made in time")
    case CURLE_OPERATION_TIMEDOUT: self.init(Self.noConnection)
    case CURLE_COULDNT_RESOLVE_HOST: self.init("the host name \(host) could not be resolved")
    case CURLE_COULDNT_CONNECT: self.init(Self.sentence(forErrno: errno))
    case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE: self = .closed
    case CURLE_SSL_CONNECT_ERROR: self.init(Self.sentence(forTLS: text))
    case CURLE_PEER_FAILED_VERIFICATION where text.contains("subject name"):
      self.init("the certificate is not for \(host)")
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE: self.init(Self.untrusted)
    case CURLE_URL_MALFORMAT, CURLE_LOGIN_DENIED, CURLE_FAILED_INIT: self = .notSent
    default: self = .notHTTP
    }
  }

  private static func sentence(forErrno code: CInt) -> String {
    switch code {
    case 0: "the connection could not be made"
    case ECONNREFUSED: "the connection was refused"
    case ECONNRESET, EPIPE: closed.description
    case ETIMEDOUT: noConnection
    case EHOSTUNREACH, ENETUNREACH: "the address cannot be reached"
    default: "the connection failed: \(String(cString: strerror(code)))"
    }
  }

  /// What happened is only in the text, in OpenSSL's words.
  private static func sentence(forTLS text: String) -> String {
    let known = [
      ("SSL_ERROR_SYSCALL", closed.description), ("unexpected eof", closed.description),
      ("wrong version number", "the receiver does not speak TLS"), ("alert", "the receiver aborted the TLS handshake"),
      ("protocol", "the receiver has no TLS version in common with this server"),
    ]
    return known.first { text.contains($0.0) }?.1 ?? "the TLS handshake failed"
  }
}
