"""Corpora of emotional speech: from a folder of files to a table of clips and one of rejects."""

from __future__ import annotations

from sercourse.corpora.scan import NAMES as NAMES
from sercourse.corpora.scan import Scan as Scan
from sercourse.corpora.scan import combine as combine
from sercourse.corpora.scan import fingerprint as fingerprint
from sercourse.corpora.scan import folder as folder
from sercourse.corpora.scan import list_files as list_files
from sercourse.corpora.scan import missing as missing
from sercourse.corpora.scan import scan as scan
