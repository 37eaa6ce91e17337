import Ledger

extension AdministrationError {
  /// What it means to an account's holder, who has no command line.
  var complaint: Complaint {
    switch self {
    case .nameTaken: Complaint("Another account has this name.", status: 409)
    case .emailTaken: Complaint("Another account has this email address.", status: 409)
    case .tooManyKeys:
      Complaint(
        "There are \(maximumKeys) keys that are not revoked, the most an account may have. Revoke one first.",
        status: 409)
    case .tooManyWebhooks:
      Complaint(
        "There are \(maximumWebhooks) webhooks, the most an account may have. Delete one first.", status: 409)
    case .webhookDisabled: Complaint("This webhook is disabled. Enable it first.", status: 409)
    case .unknownAccount, .noAccount: Complaint("This account is not there any more.", status: 404)
    case .unknownKey, .ambiguousPrefix: Complaint("There is no such key.", status: 404)
    case .unknownWebhook: Complaint("There is no such webhook.", status: 404)
    case .unknownDelivery: Complaint("There is no such delivery.", status: 404)
    }
  }

  /// The same as a page of its own, for what was asked for by its address.
  var refusal: Refusal { Refusal(complaint.status, complaint.sentence) }
}
