"""Message definitions that the user supplies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError
from mosaico_ros.ros_bridge.definitions import Types, full_name, parse_definition

if TYPE_CHECKING:
    from rosbags.typesys import Stores

_GLOBAL = ''


class ROSTypeRegistry:
    """Definitions for recordings that hold none, for all distributions or for one."""

    def __init__(self) -> None:
        self._texts: dict[str, dict[str, str]] = {}

    def register(
        self, msg_type: str, source: str | Path, store: Stores | str | None = None
    ) -> None:
        """Register one type.

        Parameters
        ----------
        msg_type : str
            ``pkg/msg/Name``.
        source : str or Path
            Definition text, or the path of a ``.msg`` or ``.idl`` file.
        store : rosbags.typesys.Stores or str, optional
            Distribution it is for; all by default.

        Raises
        ------
        NotFoundError
            If ``source`` is a path and nothing is there.
        InvalidArgumentError
            If the text cannot be parsed.
        """
        text = _text(source)
        name = full_name(msg_type)
        parse_definition(text, name)
        self._texts.setdefault(_scope(store), {})[name] = text

    def register_directory(
        self, package_name: str, dir_path: str | Path, store: Stores | str | None = None
    ) -> None:
        """Register every ``.msg`` file of a folder as a type of the package.

        Raises
        ------
        InvalidArgumentError
            If it is not a folder, or a file in it cannot be parsed.
        """
        folder = Path(dir_path)
        if folder.is_file():
            # One message of the package, which is what the published examples pass.
            self.register(f'{package_name}/msg/{folder.stem}', folder, store)
            return
        if not folder.is_dir():
            raise InvalidArgumentError(f'{folder} is not a folder of .msg files')
        for path in sorted(folder.glob('*.msg')):
            self.register(f'{package_name}/msg/{path.stem}', path, store)

    def get_types(self, store: Stores | str | None = None) -> dict[str, str]:
        """Texts by type name: those for all distributions, and those for ``store``."""
        return {**self._texts.get(_GLOBAL, {}), **self._texts.get(_scope(store), {})}

    def definitions(self, store: Stores | str | None = None) -> Types:
        """The same in parsed form, nested types of the texts included."""
        parsed: Types = {}
        for name, text in self.get_types(store).items():
            parsed.update(parse_definition(text, name))
        return parsed

    def reset(self) -> None:
        """Forget everything."""
        self._texts.clear()


def _scope(store: Stores | str | None) -> str:
    if store is None:
        return _GLOBAL
    return str(getattr(store, 'value', store)).split('_')[-1]


def _text(source: str | Path) -> str:
    looks_like_path = isinstance(source, Path) or (
        '\n' not in source and source.endswith(('.msg', '.idl'))
    )
    if not looks_like_path:
        return str(source)
    path = Path(source)
    if not path.is_file():
        raise NotFoundError(f'there is no message definition {path}')
    return path.read_text(encoding='utf-8')
