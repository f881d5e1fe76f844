"""What happens to a batch of rows, in the order it happens: read, cut out, place, stylise, finish, check, encode,
store, record.

Each method is a plain callable over a batch that returns the batch. A row that cannot go on is marked with its reason
and travels along untouched, so that every claimed row is counted exactly once where the batch is recorded.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from catalog_gen import __version__
from catalog_gen.catalog.model import NewAsset, Outcome, PictureSource
from catalog_gen.catalog.restyled import Made, read_made_outputs
from catalog_gen.catalog.restyling import RestyleScope, find_sources
from catalog_gen.catalog.source import CatalogSource
from catalog_gen.encode import SUFFIX
from catalog_gen.errors import CatalogGenError, PhotoError, RowError, TemporaryFailure
from catalog_gen.photos import open_photo
from catalog_gen.pipeline.job_stages import JobStages
from catalog_gen.pipeline.restyle_parts import RestyleParts, words_of
from catalog_gen.pipeline.restyle_source import SourceReader, photo_name
from catalog_gen.pipeline.restyle_work import OutputWork, RestyleWork
from catalog_gen.pipeline.retry import Retry
from catalog_gen.provenance import Provenance, SourceType, build_xmp, read_provenance
from catalog_gen.quality import doubt

log = logging.getLogger(__name__)

UNSURE = "cut out of a photo without a plain ground: look at its edges"


@dataclass
class RestyleStages(JobStages):
    """The stages of `restyle` over one run's parts, storage and database."""

    parts: RestyleParts
    scope: RestyleScope
    source: CatalogSource
    reader: SourceReader
    pictures: int = 0  # recorded so far

    def read(self, batch: list[RestyleWork]) -> list[RestyleWork]:
        """Read every row's source, and see which of its outputs are stale."""
        rows = self.still_wanted(batch)
        products = [work.claimed.product for work in rows]
        sources = self.retry("finding sources", lambda: find_sources(self.database, self.source, products, self.scope))
        made = self.retry(
            "reading live pictures", lambda: read_made_outputs(self.database, self.scope.style, sorted(sources))
        )
        for work in rows:
            work.source = sources.get(work.sku)
            if work.source is None:
                work.skip("it has no approved picture any more")
                continue
            work.outputs = self._stale_outputs(work.source, made.get(work.sku, {}))
            if not work.outputs:
                work.skip("every output is up to date already")
                continue
            self._attempt(work, "reading", self._read_one, again=True)
        return batch

    def _stale_outputs(self, source: PictureSource, made: Mapping[str, Made]) -> list[OutputWork]:
        """Return the work on every stale output; a random engine makes other candidates than those rejected before."""
        stale = self.scope.stale(source, made)
        works = [OutputWork(output, stale[output.name]) for output in self.parts.outputs if output.name in stale]
        for work in works if self.parts.stochastic else ():
            rejected = made.get(work.output.name, Made()).rejected[work.input_hash]
            work.first_candidate = rejected * self.parts.candidates
        return works

    def _read_one(self, work: RestyleWork) -> None:
        source = work.source
        assert source is not None, "it was found a moment ago"
        if source.asset is None:  # a server of somebody else's: one more try, and then another night
            retry = Retry(min(1, self.retry.retries), self.retry.seconds, self.retry.sleep)
            data, work.source_sha256 = _as_row_error(lambda: retry("reading", lambda: self.reader.read(source)))
        else:
            data, work.source_sha256 = self.retry("reading a picture", lambda: self.reader.read(source))
        work.photo = open_photo(data)
        try:
            work.said = read_provenance(data)
        except PhotoError as error:  # another program's metadata: what it meant to say is lost, the photo is not
            log.warning("%s: %s", work.sku, error)

    def cut_out(self, batch: list[RestyleWork]) -> list[RestyleWork]:
        """Take every product out of its ground; a cut-out in doubt, or off no plain ground, is for a person to see."""

        def one(work: RestyleWork) -> None:
            assert work.photo is not None, "read runs before cut_out"
            work.cutout = self.parts.cut_out(work.photo, words_of(work.claimed.product))
            work.photo = None
            if work.cutout.doubt or work.cutout.kind == "general":
                work.state, work.reason_kind = "needs_review", "cut-out"
                work.cut = "doubted" if work.cutout.doubt else "unplain"
                work.reason = f"the cut-out is in doubt: {work.cutout.doubt}" if work.cutout.doubt else UNSURE

        for work in self.still_wanted(batch):
            self._attempt(work, "cutting out", one)
        return batch

    def place(self, batch: list[RestyleWork]) -> list[RestyleWork]:
        """Put every product into the template's scene, once an output."""

        def one(work: RestyleWork) -> None:
            assert work.cutout is not None, "cut_out runs before place"
            for target in work.outputs:
                words = words_of(work.claimed.product)
                target.content, target.product = self.parts.place(target.output, work.cutout, words)
            work.cutout = None

        for work in self.still_wanted(batch):
            self._attempt(work, "placing", one)
        return batch

    def stylise(self, batch: list[RestyleWork]) -> list[RestyleWork]:
        """Draw the pictures in the template's style, those of one size and seed together, blended with their scenes."""
        by_size: defaultdict[tuple[int, ...], list[tuple[RestyleWork, OutputWork]]] = defaultdict(list)
        for work in batch:
            for target in work.outputs if not work.outcome else ():
                assert target.content is not None, "place runs before stylise"
                by_size[(*target.content.shape, target.first_candidate)].append((work, target))
        for pairs in by_size.values():
            for start in range(0, len(pairs), self.parts.batch):
                some = pairs[start : start + self.parts.batch]
                wanted = {id(work) for work in self.still_wanted([work for work, _ in some])}
                self._stylise([target for work, target in some if id(work) in wanted])
        for work in batch:
            if not work.outcome and any(not picture.size for t in work.outputs for picture in t.stylised):
                work.fail(f"the engine {self.parts.engines[0].name} drew no finite picture", retry=False)
        return batch

    def _stylise(self, targets: Sequence[OutputWork]) -> None:
        contents = [target.content for target in targets if target.content is not None]
        products = [target.product for target in targets if target.product is not None]
        first = targets[0].first_candidate if targets else 0
        for candidate in range(first, first + self.parts.candidates) if targets else ():
            for target, picture in zip(targets, self.parts.stylise(candidate, contents, products), strict=True):
                target.stylised.append(picture)

    def finish(self, batch: list[RestyleWork]) -> list[RestyleWork]:
        """Lay the template's frame, logo and text over the pictures."""

        def one(work: RestyleWork) -> None:
            for target in work.outputs:
                target.stylised = [self.parts.finish(target.output, picture) for picture in target.stylised]

        for work in batch:
            self._attempt(work, "finishing", one)
        return batch

    def check(self, batch: list[RestyleWork]) -> list[RestyleWork]:
        """Keep the candidate that leaves the product most as it is.

        A row whose product is changed beyond the limits fails with its figures, and nothing of it is stored.
        """

        def one(work: RestyleWork) -> None:
            faults = [fault for target in work.outputs for fault in self._judge(target)]
            if faults:
                raise RowError("; ".join(faults))

        for work in batch:
            self._attempt(work, "checking", one)
        return batch

    def _judge(self, target: OutputWork) -> list[str]:
        assert target.content is not None and target.product is not None, "place runs before check"
        judged = []
        for number, picture in enumerate(target.stylised):
            found, faults = self.parts.check(target.content, picture, target.product)
            judged.append((len(faults), found.delta_e, number, found, faults))
        _, _, target.chosen, found, faults = min(judged, key=lambda one: one[:3])
        target.picture, target.scores = target.stylised[target.chosen], found.scores()
        target.nearness = self.parts.nearness(found)
        target.stylised, target.content, target.product = [], None, None
        return [f"{target.output.name}: {fault}" for fault in faults]

    def encode(self, batch: list[RestyleWork]) -> list[RestyleWork]:
        """Encode every picture within its output's byte limit, its provenance inside."""

        def one(work: RestyleWork) -> None:
            for target in work.outputs:
                assert target.picture is not None, "check runs before encode"
                xmp = build_xmp(provenance_of(work, target, self.parts))
                target.data = self.parts.encode(target.output, target.picture, xmp)
                target.picture = None

        for work in batch:
            self._attempt(work, "encoding", one)
        return batch

    def store(self, batch: list[RestyleWork]) -> list[RestyleWork]:
        """Store the batch's pictures durably, before any row says that they exist."""
        targets = [(work, target) for work in batch if not work.outcome for target in work.outputs]
        stored = self.put_all([(work, target.data, SUFFIX[target.output.format]) for work, target in targets])
        for (_, target), place in zip(targets, stored, strict=True):
            target.stored = place
            target.data = b""
        return batch

    def record(self, batch: list[RestyleWork]) -> list[RestyleWork]:
        """Write the batch's outcomes in one transaction that checks that the claims are still this run's."""
        outcomes = [self._outcome(work) for work in batch if work.outcome != "released"]
        lost = self.settle(batch, outcomes)
        self.pictures += sum(len(outcome.assets) for outcome in outcomes if outcome.sku not in lost)
        return batch

    def _outcome(self, work: RestyleWork) -> Outcome:
        if work.outcome == "skipped":
            return Outcome(work.sku, "skipped", work.reason)
        if work.outcome:
            return Outcome(work.sku, "failed", work.reason, retry=work.retry)
        assets = tuple(self._asset(work, target) for target in work.outputs)
        return Outcome(
            work.sku, "needs_review" if work.state == "needs_review" else "restyled", work.reason, assets=assets
        )

    def _asset(self, work: RestyleWork, target: OutputWork) -> NewAsset:
        assert target.stored is not None and work.source is not None, "a row is recorded after its pictures are stored"
        origin, engine = work.source.asset, self.parts.engine(target.candidate)
        return NewAsset(
            id=uuid4().hex,
            sku=work.sku,
            uri=target.stored.uri,
            sha256=target.stored.sha256,
            bytes=target.stored.size,
            width=target.output.width,
            height=target.output.height,
            format=target.output.format,
            prompt=origin.prompt if origin else "",
            prompt_hash=origin.prompt_hash if origin else "",
            seed=origin.seed if origin else 0,
            attempt=origin.attempt if origin else 0,
            candidates=self.parts.candidates,
            clip_hash=self.parts.clip.hash,
            gan_hash=origin.gan_hash if origin else "",
            state=work.state,
            reason=work.reason,
            kind="restyled",
            style=self.parts.template.name,
            variant=target.output.name,
            scores=target.scores,
            settings={
                "template_hash": self.parts.template.hash,
                "engine": engine.name,
                "engine_hash": engine.hash,
                "candidate": target.candidate,
                "source": "asset" if origin else "photo",
                "source_sha256": work.source_sha256,
                "source_uri": work.source.uri,
                "overlays": list(self.parts.template.config.overlays_on(target.output.name)),
                "software": __version__,
            },
            source_asset_id=origin.id if origin else None,
            input_hash=target.input_hash,
            category=work.claimed.product.category,
            doubt=doubt.of_restyled(target.nearness, work.cut),
            reason_kind=work.reason_kind,
        )

    def _attempt(
        self, work: RestyleWork, what: str, step: Callable[[RestyleWork], None], *, again: bool = False
    ) -> None:
        """Do one step of a row that is still under way; its failure is its own, and not the night's.

        again: whether another night may go better. Where it is a matter of the picture alone, it would not.
        """
        if work.outcome:
            return
        try:
            step(work)
        except (RowError, PhotoError) as error:
            work.fail(str(error), retry=again)
        except (MemoryError, CatalogGenError):  # not the picture's fault: the run ends, and says why
            raise
        except Exception as error:  # a picture like no other before it must not end the night
            log.exception("%s: %s failed", work.sku, what)
            work.fail(f"{what}: {type(error).__name__}: {error}", retry=again)


def provenance_of(work: RestyleWork, target: OutputWork, parts: RestyleParts) -> Provenance:
    """Return what a restyled picture says of itself; what its source said of its own drawing is carried on.

    A picture made from a real photo is a composite; one made from a picture that says it was generated, even if it
    comes back from the shop as a photo, goes on being generated.
    """
    source, said, engine = work.source, work.said, parts.engine(target.candidate)
    assert source is not None, "read runs before encode"
    drawn = source.asset is not None or said.get("source_type") == "trainedAlgorithmicMedia"
    source_type: SourceType = "trainedAlgorithmicMedia" if drawn else "compositeWithTrainedAlgorithmicMedia"
    asset = source.asset
    return Provenance(
        sku=work.sku,
        prompt=said.get("prompt", asset.prompt if asset else ""),
        gan=said.get("gan", asset.gan_hash if asset else ""),
        clip=said.get("clip", asset.clip_hash if asset else ""),
        seed=_number(said.get("seed"), asset.seed if asset else 0),
        attempt=_number(said.get("attempt"), asset.attempt if asset else 0),
        candidates=_number(said.get("candidates"), asset.candidates if asset else 1),
        candidate=_number(said.get("candidate"), 0),
        truncation=float(said.get("truncation", "1")),
        source_type=source_type,
        upscaler=said.get("upscaler", ""),
        template=f"{parts.template.name}@{parts.template.hash}",
        engine=f"{engine.name}@{engine.hash}",
        source_sha256=work.source_sha256,
        source_asset=asset.id if asset else "",
        source_photo="" if asset else photo_name(source.uri),
    )


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdecimal() else otherwise


def _as_row_error(read: Callable[[], tuple[bytes, str]]) -> tuple[bytes, str]:
    try:
        return read()
    except TemporaryFailure as error:
        raise RowError(error.what) from error
