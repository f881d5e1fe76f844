"""E-mail: the news as plain text and HTML, the report beside it, over SMTP."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.utils import make_msgid, parseaddr

from catalog_gen.config_notify import EmailConfig
from catalog_gen.errors import CatalogGenError, TransientError, Unavailable
from catalog_gen.notify.mail_page import mail_page
from catalog_gen.notify.news import News

SUBJECT_LINE = 200  # holds the longest title: Python folds a longer subject so that it begins with a space


@dataclass(frozen=True)
class Attachment:
    """An HTML file that goes with the mail."""

    name: str
    data: bytes


def compose(config: EmailConfig, news: News, attachment: Attachment | None = None) -> EmailMessage:
    """Return the mail that tells `news`: text and HTML (RFC 2046's multipart/alternative), then the attachment.

    Sending it twice is harmless: its Message-ID stays. `Auto-Submitted` (RFC 3834) keeps away absence notes.
    """
    mail = EmailMessage(policy=policy.default.clone(max_line_length=SUBJECT_LINE))
    mail["Subject"] = f"[catalog-gen] {news.title()}"
    mail["From"] = config.sender
    mail["To"] = ", ".join(config.to)
    mail["Date"] = datetime.now(UTC)  # a run may be told again long after it ended
    mail["Message-ID"] = make_msgid(domain=parseaddr(config.sender)[1].rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(news.text())
    mail.add_alternative(mail_page(news), subtype="html")
    if attachment is not None:
        mail.add_attachment(attachment.data, maintype="text", subtype="html", filename=attachment.name)
    return mail


def deliver(config: EmailConfig, mail: EmailMessage, timeout: float) -> None:
    """Hand the mail to the server. `timeout` is in seconds, for each wait on the network.

    Raises TransientError for a lost connection, a timeout or a 4xx answer (RFC 5321: try again), and Unavailable for
    anything else: a wrong password, a certificate that is not trusted, no STARTTLS, refused recipients (the others
    have got it).
    """
    where = f"{config.host}:{config.server[1]}"
    with _errors(where, timeout), _connected(config, timeout) as server:
        refused = server.send_message(mail)
    if refused:
        raise _recipients_refused(refused, where)


@contextmanager
def _connected(config: EmailConfig, timeout: float) -> Iterator[smtplib.SMTP]:
    host, port = config.server
    context = ssl.create_default_context()
    if config.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=timeout, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=timeout)
    try:
        if config.security == "starttls":
            server.starttls(context=context)
        if config.user:
            server.login(config.user, config.password)
        yield server
        with suppress(OSError):  # the mail is delivered: a server that does not say goodbye must not make it two
            server.quit()
    finally:
        server.close()


@contextmanager
def _errors(where: str, timeout: float) -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        raise _recipients_refused(error.recipients, where) from error
    except smtplib.SMTPResponseException as error:
        hint = "Check notify.email.user and password." if isinstance(error, smtplib.SMTPAuthenticationError) else ""
        kind = TransientError if error.smtp_code < 500 else Unavailable
        raise kind(f"answers {error.smtp_code} {_plain(error.smtp_error)}", where=where, hint=hint) from error
    except smtplib.SMTPNotSupportedError as error:
        hint = "Check notify.email.security and port."
        raise Unavailable(f"does not offer what is asked ({error})", where=where, hint=hint) from error
    except ssl.SSLCertVerificationError as error:
        hint = "SSL_CERT_FILE names a file of certificates to trust."
        raise Unavailable(f"its certificate is not trusted ({error.verify_message})", where=where, hint=hint) from error
    except TimeoutError as error:
        raise TransientError(f"no answer within {timeout:g} s", where=where) from error
    except (OSError, smtplib.SMTPException) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise TransientError(f"cannot be reached ({said})", where=where) from error


def _recipients_refused(refused: dict[str, tuple[int, bytes]], where: str) -> CatalogGenError:
    told = "; ".join(f"{address} ({code} {_plain(words)})" for address, (code, words) in refused.items())
    kind = TransientError if all(code < 500 for code, _ in refused.values()) else Unavailable
    return kind(f"refuses recipients: {told}", where=where)


def _plain(words: bytes | str) -> str:
    return " ".join((words.decode("utf-8", "replace") if isinstance(words, bytes) else words).split())[:200]
