"""What ``mosaico export`` shows while it works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mosaico_ros.cli.progress import bars
from mosaico_ros.protocol.sizes import size_text

if TYPE_CHECKING:
    from rich.progress import TaskID

    from mosaico_ros.ros_bridge.extractor import ExtractedTopic, ExtractionReport

#: More bars than this at once push each other off the screen.
_MOST = 10


class ExportBars:
    """A bar on stderr for each topic under way, and one for all of them."""

    def __init__(self, *, shown: bool) -> None:
        self._progress = bars(shown=shown)
        self._tasks: dict[str, TaskID] = {}
        self._all = self._progress.add_task('all topics', total=None, told='')

    def advance(self, report: ExtractionReport) -> None:
        """Move the bars of a recording."""
        if self._progress.disable:
            return
        written = [topic for topic in report.topics.values() if not topic.skipped]
        under_way = [t for t in written if t.messages and t.messages != t.expected][:_MOST]
        for name in self._tasks.keys() - {topic.name for topic in under_way}:
            self._progress.remove_task(self._tasks.pop(name))
        for topic in under_way:
            if topic.name not in self._tasks:
                task = self._progress.add_task(topic.name, total=None, told='')
                self._tasks[topic.name] = task
            self._move(self._tasks[topic.name], [topic])
        self._move(self._all, written)

    def _move(self, task: TaskID, topics: list[ExtractedTopic]) -> None:
        messages, nbytes = sum(t.messages for t in topics), sum(t.nbytes for t in topics)
        counts = [topic.expected for topic in topics]
        self._progress.update(
            task,
            total=None if None in counts else sum(filter(None, counts)),
            completed=messages,
            told=f'{messages:,} messages, {size_text(nbytes)}',
        )

    def __enter__(self) -> ExportBars:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()
